"""Time of decoding, of the model, and of both together as in `detect`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stadkit.runs.threads import cores

if TYPE_CHECKING:
    from stadkit.detection import Detector

MAX_CLIPS = 64  # decoded clips kept in memory to time the model alone


def measure_detect(detector: Detector, path: Path, options: Any, runs: int) -> dict[str, Any]:
    """Best times of `runs`: {"clips", "decode_s", "model_s", "whole_s", "ratio", ...}.

    "ratio" is whole / slower part. "floor_s" is the slower part or, if larger, the CPU time of both
    parts divided by the cores. "ratio_to_floor" is whole / floor.
    """
    import torch

    from stadkit.detection import detect_video
    from stadkit.video.clips import clips
    from stadkit.video.decode import open_video

    def decode() -> Any:
        with open_video(path) as video:
            yield from clips(video, detector.cut, options.every)

    cached = list(itertools.islice(decode(), MAX_CLIPS))
    count = sum(1 for _ in decode())

    def model() -> None:
        repeated = itertools.islice(itertools.cycle(cached), count)
        for _ in detector.look(repeated, options):
            pass

    parts: dict[str, Callable[[], Any]] = {
        "decode_s": lambda: sum(1 for _ in decode()),
        "model_s": model,
        "whole_s": lambda: detect_video(detector, path, options),
    }
    model()  # warm-up: the first passes choose kernels and lay out weights
    # Interleaved, so that a slow moment of the machine affects all three.
    rows = [{name: _wall_and_cpu(part) for name, part in parts.items()} for _ in range(runs)]
    wall, cpu = ({name: min(row[name][i] for row in rows) for name in parts} for i in (0, 1))
    slower = max(wall["decode_s"], wall["model_s"])
    cpu_bound = (cpu["decode_s"] + cpu["model_s"]) / cores()
    floor = max(slower, cpu_bound if detector.device.type == "cpu" else 0.0)
    return {
        "clips": count,
        **{name: round(seconds, 4) for name, seconds in wall.items()},
        "ratio": round(wall["whole_s"] / slower, 3),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "floor_s": round(floor, 4),
        "ratio_to_floor": round(wall["whole_s"] / floor, 3),
    }


def generated_video(path: Path, seconds: int = 20) -> Path:
    """Write a 720p, 25 fps video of a drifting noise pattern, so that decoding has work to do."""
    import numpy as np

    from stadkit.video.write import VideoWriter

    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    image = noise.repeat(8, 0).repeat(8, 1)  # [720, 1280, 3]
    with VideoWriter(path, 1280, 720, 25) as writer:
        for i in range(25 * seconds):
            writer.write(np.roll(image, (2 * i, 5 * i), (0, 1)), i / 25)
    return path


def _wall_and_cpu(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall time, and CPU time of all threads, in seconds."""
    started, before = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - before
