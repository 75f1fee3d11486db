"""What labelling gives: rows with labels, where each is from, and what was passed over."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections


@dataclass(frozen=True)
class Notes:
    """What there was to label; each frame is counted under all that is true of it."""

    frames: int = 0  # unlabelled, looked at
    labelled_frames: int = 0  # passed over: they are labelled keyframes
    without_neighbour: int = 0  # no labelled keyframe near enough, or none of the same shot
    one_neighbour: int = 0  # labelled from one side only
    nobody_in_truth: int = 0  # neighbours, and nobody in them
    nobody_found: int = 0  # looked at, no detection
    cut: int = 0  # a neighbour lost to a change of shot
    videos_without_truth: tuple[str, ...] = ()  # found has them, the labelled keyframes do not
    videos_without_frames: tuple[str, ...] = ()  # truth has them, nothing was looked at there

    def to_json(self) -> dict[str, Any]:
        """The same for machines: the fields of this class."""
        return asdict(self)


@dataclass(frozen=True)
class Labelled:
    """Pseudo labels by video and time, within a frame in the order of `found`."""

    table: Detections  # [n]  boxes, person scores and tracks as found; action 1 or 0
    source: NDArray[np.float64]  # [n]  seconds of the labelled keyframe; NaN: from scores alone
    cost: NDArray[np.float64]  # [n]  what the assignment cost (Eq. 6); NaN: there was none
    row: NDArray[np.intp]  # [n]  of found; -1: a box between two of truth ("interpolate", "tla+")
    person: NDArray[np.intp]  # [n]  row of truth that the label is from; -1: from scores alone
    background: NDArray[np.intp]  # rows of found that were looked at and got no label, growing
    thresholds: NDArray[np.float64] | None  # [c]  of "per-class"; NaN: the class is never given
    notes: Notes

    def __len__(self) -> int:
        return len(self.table)
