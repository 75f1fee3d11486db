"""`stadkit bench pseudo-label`: keyframes labelled a second by each strategy."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from stadkit.console import console

if TYPE_CHECKING:
    from stadkit.detections import Detections

CLASSES = 80
RATE, LABELLED = 5.0, 1.0  # frames looked at and labelled keyframes, a second
JITTER, MISS, FALSE = 0.03, 0.1, 0.05
GOAL = 20_000  # keyframes a second, temporal label assignment
VIDEO = 1_500  # frames: 5 minutes


def bench_pseudo_label(
    frames: Annotated[int, typer.Option(min=10, help="To look at, 5 a second.")] = 30_000,
    people: Annotated[int, typer.Option(min=1, help="In each frame.")] = 3,
    strategy: Annotated[
        list[str] | None, typer.Option("--strategy", help="Again for several; all if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up people.")] = 0,
    runs: Annotated[int, typer.Option(min=1, help="Times each is measured; the best counts.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Made-up people of 80 classes, labelled once a second, by each strategy on one core."""
    from stadkit.tla import STRATEGIES, Options

    chosen = [Options(name).strategy for name in strategy or STRATEGIES]
    found, truth = made_up(frames, people, seed)
    figures = {name: measure(found, truth, name, runs) for name in chosen}
    told = {"frames": frames, "people": people, "classes": CLASSES, "keyframes_per_s": figures}
    if as_json:
        typer.echo(json.dumps({**told, "goals": {"tla": GOAL}}))
        return
    for name, figure in figures.items():
        aim = f"  (goal: at least {GOAL:,})" if name == "tla" else ""
        typer.echo(f"{name:<12} {figure:>9,} keyframes/s{aim}")
    if figures.get("tla", GOAL) < GOAL:
        console.print("missed here: tla")


def made_up(frames: int, people: int, seed: int) -> tuple[Detections, Detections]:
    """(found at all frames, truth at every fifth) of people who drift through the picture."""
    from dataclasses import replace

    import numpy as np

    from stadkit.detections import milliseconds
    from stadkit.synth.crowd import RATE as CROWD_RATE
    from stadkit.synth.crowd import crowd
    from stadkit.synth.degraded import degrade

    dense = crowd(-(-frames // VIDEO), min(frames, VIDEO), people, CLASSES, seed)
    dense = replace(dense, time=dense.time * CROWD_RATE / RATE)
    found, _ = degrade(dense, 1 / RATE, seed, JITTER, MISS, FALSE)
    labelled = milliseconds(dense.time) % round(1000 / LABELLED) == 0
    return found, dense.select(np.flatnonzero(labelled))


def measure(found: Detections, truth: Detections, strategy: str, runs: int) -> int:
    """Unlabelled frames a second, by processor time of the best of `runs`."""
    from stadkit.tla import Options, pseudo_label

    seconds, frames = [], 0
    for _ in range(runs + 1):  # the first also loads what it needs
        before = time.process_time()
        frames = pseudo_label(found, truth, options=Options(strategy)).notes.frames
        seconds.append(time.process_time() - before)
    return round(frames / min(seconds[1:]))
