"""`stadkit bench`: how fast things are here, the parts beside the whole, in one run."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stadkit.cli.bench_eval import bench_eval, bench_video_map
from stadkit.cli.bench_link import bench_link
from stadkit.cli.bench_model import Runs, bench_model, show
from stadkit.cli.bench_pseudo_label import bench_pseudo_label
from stadkit.cli.threads import DetectThreads, cores, threads_beside_decoding
from stadkit.console import console
from stadkit.errors import UsageError

if TYPE_CHECKING:
    from stadkit.detect import Detector

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
app.command("eval")(bench_eval)
app.command("link")(bench_link)
app.command("model")(bench_model)
app.command("pseudo-label")(bench_pseudo_label)
app.command("video-map")(bench_video_map)
GOAL = 1.15  # whole / slower part
KEPT = 64  # clips held in memory for the model alone


@app.command("detect")
def bench_detect(
    video: Annotated[
        Path | None, typer.Option(help="A video; else one of 720p, 20 s, made here.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A name, or weights.")
    ] = "mestad-nano",
    every: Annotated[float, typer.Option(help="Seconds between keyframes.")] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    batch: Annotated[int | None, typer.Option(min=1, help="Clips at once.")] = None,
    threads: DetectThreads = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
) -> None:
    """Decoding alone, the model alone, and both together, as `detect` runs them."""
    from stadkit.detect import Options, load

    detector = load(model, device, precision)
    if detector.card.family == "slowfast-roi":
        raise UsageError(f"{detector.name}: classifies others' people; take an end-to-end model")
    options = Options(every=every, batch=batch)
    with tempfile.TemporaryDirectory() as folder:
        path = video or _made_video(Path(folder) / "made.mp4")
        with threads_beside_decoding(threads, detector, every):
            figures = measure_detect(detector, path, options, runs)
    figures = {"model": detector.name, "device": str(detector.device), "every": every, **figures}
    show(figures, as_json)
    if not as_json:
        console.print(f"whole / slower part: {figures['ratio']} (goal: at most {GOAL})")
        console.print(
            f"whole / what {figures['cores']} cores allow: {figures['ratio_to_floor']} "
            "(where both parts keep all cores busy, they can only take turns)"
        )


def measure_detect(detector: Detector, path: Path, options: Any, runs: int) -> dict[str, Any]:
    """Best seconds of `runs` of each: {"clips", "decode_s", "model_s", "whole_s", "ratio", ...}.

    "ratio" is whole / slower part; "floor_s" the slower part, or the processor time of both
    parts over the cores where that is more; "ratio_to_floor" is whole / floor.
    """
    import torch

    from stadkit.detect import detect_video
    from stadkit.video.clips import clips
    from stadkit.video.decode import open_video

    def decoded() -> Any:
        with open_video(path) as video:
            yield from clips(video, detector.cut, options.every)

    held = list(itertools.islice(decoded(), KEPT))
    count = sum(1 for _ in decoded())

    def model() -> None:
        again = itertools.islice(itertools.cycle(held), count)
        for _ in detector.look(again, options):
            pass

    parts: dict[str, Callable[[], Any]] = {
        "decode_s": lambda: sum(1 for _ in decoded()),
        "model_s": model,
        "whole_s": lambda: detect_video(detector, path, options),
    }
    model()  # warm: the first passes choose kernels and lay out weights
    # In turns, so that a slow moment of the machine hits all three.
    rows = [{name: _wall_and_work(part) for name, part in parts.items()} for _ in range(runs)]
    wall, work = ({name: min(row[name][i] for row in rows) for name in parts} for i in (0, 1))
    slower = max(wall["decode_s"], wall["model_s"])
    busy = (work["decode_s"] + work["model_s"]) / cores()
    floor = max(slower, busy if detector.device.type == "cpu" else 0.0)
    return {
        "clips": count,
        **{name: round(seconds, 4) for name, seconds in wall.items()},
        "ratio": round(wall["whole_s"] / slower, 3),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "floor_s": round(floor, 4),
        "ratio_to_floor": round(wall["whole_s"] / floor, 3),
    }


def _made_video(path: Path, seconds: int = 20) -> Path:
    """720p at 25 frames a second: a drifting pattern, so that decoding has work to do."""
    import numpy as np

    from stadkit.video.write import VideoWriter

    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    picture = noise.repeat(8, 0).repeat(8, 1)  # [720, 1280, 3]
    with VideoWriter(path, 1280, 720, 25) as writer:
        for i in range(25 * seconds):
            writer.write(np.roll(picture, (2 * i, 5 * i), (0, 1)), i / 25)
    return path


def _wall_and_work(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the clock, and processor seconds of all threads."""
    started, before = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - before
