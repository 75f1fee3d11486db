"""`stadkit bench link`: seconds and memory of each way of linking."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Annotated, Any

import typer

from stadkit.console import console
from stadkit.memory import peak_gb

FRAMES, CLASSES, BOXES = 150, 24, 10
JITTER, MISS, FALSE = 0.03, 0.05, 0.05  # as many false boxes as people missed
REFERENCES_S = (13.7, 174.0)  # public code on two such videos, per class, on one core
GOAL_S, GOAL_OF_500_S = 0.1, 60.0


def bench_link(
    videos: Annotated[int, typer.Option(min=1, help="Of 150 frames each; 500: a data set.")] = 2,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Again for several; all if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up detections.")] = 0,
    runs: Annotated[int, typer.Option(min=1, help="Times each is measured; the best counts.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Tables of 24 classes and 10 boxes a frame to tubes, by each method."""
    methods = _methods(method)
    figures: dict[str, Any] = {"videos": videos}
    for name in methods:
        # A process each, so that the memory of one is not counted as another's.
        told = _in_new_process(name, videos, seed, runs)
        figures["boxes"] = told.pop("boxes")
        figures |= {f"{name}_{key}": value for key, value in told.items()}
    goal = GOAL_S if videos <= 2 else GOAL_OF_500_S * videos / 500
    goals = {"track_s": goal} if "track" in methods else {}
    references = [round(seconds * videos / 2, 1) for seconds in REFERENCES_S]
    if as_json:
        typer.echo(json.dumps({**figures, "goals": goals, "references_s": references}))
        return
    for key, value in figures.items():
        aim = f"  (goal: at most {goals[key]:g})" if key in goals else ""
        typer.echo(f"{key:<20} {value}{aim}")
    typer.echo(f"{'public code':<20} {references[0]} to {references[1]} s")
    if missed := [key for key, most in goals.items() if figures[key] > most]:
        console.print(f"missed here: {', '.join(missed)}")


def measure(method: str, videos: int, seed: int, runs: int) -> dict[str, Any]:
    """{"boxes", "s", "cpu_s", "tubes", "peak_gb"}: the best of `runs`; memory with the input."""
    from stadkit.link import link_by
    from stadkit.synth.crowd import RATE, SIZE, crowd
    from stadkit.synth.degraded import degrade

    truth = crowd(videos, FRAMES, BOXES, CLASSES, seed)
    found, keyframes = degrade(truth, 1 / RATE, seed, JITTER, MISS, FALSE)
    sizes = dict.fromkeys(set(found.video.tolist()), SIZE)
    seconds = []
    for _ in range(runs):
        started, before = time.perf_counter(), time.process_time()
        tubes = link_by(method, found, keyframes, rate=RATE, sizes=sizes).tubes
        seconds.append((time.perf_counter() - started, time.process_time() - before))
    wall, cpu = (round(min(column), 4) for column in zip(*seconds, strict=True))
    peak = round(peak_gb(), 3)
    return {"boxes": len(found), "s": wall, "cpu_s": cpu, "tubes": len(tubes), "peak_gb": peak}


def _methods(given: list[str] | None) -> list[str]:
    from stadkit.link import METHODS, check_method

    for name in given or ():
        check_method(name)
    return given or list(METHODS)


def _in_new_process(method: str, videos: int, seed: int, runs: int) -> dict[str, Any]:
    code = (
        "import json, sys; from stadkit.cli.bench_link import measure; "
        "print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:]))))"
    )
    command = [sys.executable, "-c", code, method, str(videos), str(seed), str(runs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
