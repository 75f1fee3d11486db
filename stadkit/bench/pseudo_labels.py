"""Keyframes labelled per second by each strategy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stadkit.detections import Detections

CLASSES = 80
RATE, LABELLED = 5.0, 1.0  # frames and labelled keyframes per second
JITTER, MISS, FALSE = 0.03, 0.1, 0.05
VIDEO_FRAMES = 1_500  # 5 minutes


def generated_people(frames: int, people: int, seed: int) -> tuple[Detections, Detections]:
    """(detections at all frames, truth at every fifth) of people who drift across the frame."""
    from dataclasses import replace

    import numpy as np

    from stadkit.detections import milliseconds
    from stadkit.synth.benchmark_sets import RATE as CROWD_RATE
    from stadkit.synth.benchmark_sets import crowd
    from stadkit.synth.degraded import degrade

    dense = crowd(-(-frames // VIDEO_FRAMES), min(frames, VIDEO_FRAMES), people, CLASSES, seed)
    dense = replace(dense, time=dense.time * CROWD_RATE / RATE)
    found, _ = degrade(dense, 1 / RATE, seed, JITTER, MISS, FALSE)
    labelled = milliseconds(dense.time) % round(1000 / LABELLED) == 0
    return found, dense.select(np.flatnonzero(labelled))


def measure_labelling(found: Detections, truth: Detections, strategy: str, runs: int) -> int:
    """Frames labelled per second of CPU time, best of `runs`."""
    from stadkit.tla import LabellingOptions, pseudo_label

    seconds, frames = [], 0
    for _ in range(runs + 1):  # the first also imports modules
        before = time.process_time()
        frames = pseudo_label(found, truth, options=LabellingOptions(strategy)).notes.frames
        seconds.append(time.process_time() - before)
    return round(frames / min(seconds[1:]))
