"""`stadkit bench eval` and `bench video-map`: seconds and memory of scoring whole data sets."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from stadkit.console import console
from stadkit.memory import peak_gb

AVA_KEYFRAMES = 57_408  # 64 videos of 897 seconds
GOAL_S, GOAL_GB, GOAL_VIDEO_S = 3.0, 1.5, 20.0

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Runs = Annotated[int, typer.Option(min=1, help="Times each is measured; the best counts.")]


def bench_eval(
    keyframes: Annotated[
        int, typer.Option(min=1, help="Keyframes; AVA's validation set has 57,408.")
    ] = AVA_KEYFRAMES,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up files.")] = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
) -> None:
    """AVA's count at full size: what `stadkit eval FOUND TRUTH` takes, each run a new process."""
    from stadkit.synth.ava_like import write_ava_like

    with tempfile.TemporaryDirectory() as folder:
        truth, found = write_ava_like(Path(folder), keyframes, seed)
        # Processes of their own: making the files would count as their memory too.
        best = min((_in_new_process(found, truth) for _ in range(runs)), key=_whole)
    goals = {"whole_s": GOAL_S, "peak_gb": GOAL_GB}
    _show({"keyframes": keyframes, **best}, goals, as_json)


def measure(found: Path, truth: Path) -> dict[str, Any]:
    """Seconds of reading and of all that the command says of it by default; peak memory."""
    from stadkit.cli.eval_inputs import read_sides
    from stadkit.cli.eval_table import words
    from stadkit.metrics.evaluate import evaluate

    started = time.perf_counter()
    sides = read_sides(found, truth, None, None, None)
    read = time.perf_counter()
    scores = evaluate(sides.found, sides.truth, sides.labels, sides.facts)
    words(scores)
    told = scores.to_json()
    done = time.perf_counter()
    return {
        "found_rows": len(sides.found.claims),
        "truth_rows": len(sides.truth.claims),
        "frame_map": round(told["frame_map"], 6),
        "read_s": round(read - started, 3),
        "score_s": round(done - read, 3),
        "peak_gb": round(peak_gb(), 3),
    }


def _whole(figures: dict[str, Any]) -> float:
    return float(figures["whole_s"])


def bench_video_map(
    videos: Annotated[int, typer.Option(min=1, help="UCF101-24 tests on 914.")] = 914,
    tubes: Annotated[int, typer.Option(min=1, help="Found tubes a video.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up tubes.")] = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
) -> None:
    """Video mAP of tubes like UCF101-24's, by both protocols, at all thresholds."""
    from stadkit.metrics.video_map import video_map
    from stadkit.synth.ucf_like import ucf_like

    found, truth, sizes = ucf_like(videos, tubes, seed)
    figures: dict[str, Any] = {"videos": videos, "tubes": len(found), "boxes": len(found.time)}
    for protocol in ("multisports", "act"):

        def once(protocol: str = protocol) -> None:
            video_map(found, truth, sizes=sizes, rate=25.0, protocol=protocol)

        figures[f"{protocol}_s"] = round(min(_seconds(once) for _ in range(runs)), 3)
    figures["peak_gb"] = round(peak_gb(), 3)
    _show(figures, {"multisports_s": GOAL_VIDEO_S, "act_s": GOAL_VIDEO_S}, as_json)


def _in_new_process(found: Path, truth: Path) -> dict[str, Any]:
    """What `measure` says, and the seconds from the start of Python to its end."""
    code = (
        "import json, sys; from pathlib import Path; from stadkit.cli.bench_eval import measure; "
        "print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]))))"
    )
    command = [sys.executable, "-c", code, str(found), str(truth)]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    whole = time.perf_counter() - started
    figures: dict[str, Any] = json.loads(done.stdout)
    return {**figures, "whole_s": round(whole, 3)}


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _show(figures: dict[str, Any], goals: dict[str, float], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**figures, "goals": goals}))
        return
    for name, value in figures.items():
        goal = f"  (goal: at most {goals[name]:g})" if name in goals else ""
        typer.echo(f"{name:<29} {value}{goal}")
    missed = [name for name, most in goals.items() if figures[name] > most]
    if missed:
        console.print(f"missed here: {', '.join(missed)}")
