"""Keyframes labelled a second by each strategy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stadkit.detections import Detections

CLASSES = 80
RATE, LABELLED = 5.0, 1.0  # frames looked at and labelled keyframes, a second
JITTER, MISS, FALSE = 0.03, 0.1, 0.05
VIDEO = 1_500  # frames: 5 minutes


def made_up(frames: int, people: int, seed: int) -> tuple[Detections, Detections]:
    """(found at all frames, truth at every fifth) of people who drift through the picture."""
    from dataclasses import replace

    import numpy as np

    from stadkit.detections import milliseconds
    from stadkit.synth.benchmark_sets import RATE as CROWD_RATE
    from stadkit.synth.benchmark_sets import crowd
    from stadkit.synth.degraded import degrade

    dense = crowd(-(-frames // VIDEO), min(frames, VIDEO), people, CLASSES, seed)
    dense = replace(dense, time=dense.time * CROWD_RATE / RATE)
    found, _ = degrade(dense, 1 / RATE, seed, JITTER, MISS, FALSE)
    labelled = milliseconds(dense.time) % round(1000 / LABELLED) == 0
    return found, dense.select(np.flatnonzero(labelled))


def measure_labelling(found: Detections, truth: Detections, strategy: str, runs: int) -> int:
    """Unlabelled frames a second, by processor time of the best of `runs`."""
    from stadkit.tla import Options, pseudo_label

    seconds, frames = [], 0
    for _ in range(runs + 1):  # the first also loads what it needs
        before = time.process_time()
        frames = pseudo_label(found, truth, options=Options(strategy)).notes.frames
        seconds.append(time.process_time() - before)
    return round(frames / min(seconds[1:]))
