"""Decoding, the model, and both together, as `detect` runs them: seconds of each in one run."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stadkit.runs.threads import cores

if TYPE_CHECKING:
    from stadkit.detection import Detector

KEPT = 64  # clips held in memory for the model alone


def measure_detect(detector: Detector, path: Path, options: Any, runs: int) -> dict[str, Any]:
    """Best seconds of `runs` of each: {"clips", "decode_s", "model_s", "whole_s", "ratio", ...}.

    "ratio" is whole / slower part; "floor_s" the slower part, or the processor time of both
    parts over the cores where that is more; "ratio_to_floor" is whole / floor.
    """
    import torch

    from stadkit.detection import detect_video
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


def made_video(path: Path, seconds: int = 20) -> Path:
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
