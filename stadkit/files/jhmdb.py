"""JHMDB (21 classes): GT.pkl, three splits; its clips of 15 to 40 frames are trimmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stadkit.files import act
from stadkit.files.tube_truth import TubeTruth

CLASSES = 21
SPLITS = 3
RATE = 30.0  # JHMDB is a subset of HMDB51, which was converted to 30 frames a second


def read_gt(
    path: str | Path,
    split: int = 0,
    videos: str = "test",
    rate: float = RATE,
    data: Any = None,
) -> TubeTruth:
    """Read the truth of GT.pkl for split 0, 1 or 2; papers report the mean over the three.

    Raises AnnotationError when it does not have 21 classes, and as `act.read_gt` does.
    """
    return act.check_class_count(
        act.read_gt(path, split, videos, rate, data), path, "JHMDB", CLASSES
    )
