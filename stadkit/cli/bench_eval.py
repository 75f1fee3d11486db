"""`stadkit bench eval` and `bench video-map`: seconds and memory of scoring whole data sets."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from stadkit.cli.console import console

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
    """AVA frame mAP at full size: reading two CSVs, checking and matching them, and AP."""
    from stadkit.synth.ava_like import write_ava_like

    with tempfile.TemporaryDirectory() as folder:
        truth, found = write_ava_like(Path(folder), keyframes, seed)
        # A process of its own: making the files would count as its memory too.
        figures = _in_new_process(found, truth, runs)
    goals = {"whole_s": GOAL_S, "peak_gb": GOAL_GB}
    _show({"keyframes": keyframes, **figures}, goals, as_json)


def measure(found: Path, truth: Path, runs: int) -> dict[str, Any]:
    """Best seconds of reading, of frame mAP, and of both; of the whole command; peak memory."""
    from stadkit.cli.eval_inputs import read_sides
    from stadkit.metrics.frame_map import frame_map
    from stadkit.report.scores import score

    rows: list[dict[str, float]] = []
    peak_gb = 0.0
    for _ in range(runs):
        gc.collect()
        started = time.perf_counter()
        mine, true, labels, _, _ = read_sides(found, truth, None, None, 0)
        read = time.perf_counter()
        mean = frame_map(mine.claims, true.claims).mean
        done = time.perf_counter()
        peak_gb = peak_gb or _peak_gb()
        sizes = {"found_rows": len(mine.claims), "truth_rows": len(true.claims)}
        again = time.perf_counter()
        score(mine, true, labels)
        everything = read - started + time.perf_counter() - again
        rows.append(
            {
                "read_s": read - started,
                "frame_map_s": done - read,
                "whole_s": done - started,
                "with_coverage_and_mistakes_s": everything,
            }
        )
        del mine, true
    best = {name: round(min(row[name] for row in rows), 3) for name in rows[0]}
    return {**sizes, "frame_map": round(mean, 6), **best, "peak_gb": round(peak_gb, 3)}


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
    figures["peak_gb"] = round(_peak_gb(), 3)
    _show(figures, {"multisports_s": GOAL_VIDEO_S, "act_s": GOAL_VIDEO_S}, as_json)


def _in_new_process(found: Path, truth: Path, runs: int) -> dict[str, Any]:
    code = (
        "import json, sys; from pathlib import Path; from stadkit.cli.bench_eval import measure; "
        "print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))"
    )
    command = [sys.executable, "-c", code, str(found), str(truth), str(runs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _peak_gb() -> float:
    """The most memory that this process has had; in GB of 10^9 bytes."""
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


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
