"""Truth of tube data sets: tubes, video sizes, lengths, classes; and their pixel conventions.

Data sets count frames from 1 and store boxes in pixels; stadkit uses seconds and fractions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Keyframes
from stadkit.errors import AnnotationError
from stadkit.instances import Instances
from stadkit.labels import Labels
from stadkit.tubes import Tubes

Sizes = Mapping[str, tuple[int, int]]  # height, width in pixels


@dataclass(frozen=True)
class TubeTruth:
    """Selected videos of a data set and their truth tubes; raises ValueError for invalid fields.

    `frames` is in the data set's order, by which detections number videos from 0. Frame f,
    counted from 1, is at (f - 1) / rate seconds.
    """

    tubes: Tubes
    sizes: dict[str, tuple[int, int]]  # height, width in pixels
    frames: dict[str, int]  # frame count of each video
    rate: float  # frames a second
    labels: Labels
    numbered: bool = True  # detections may name videos by their index in `frames`

    def __post_init__(self) -> None:
        if self.tubes.classes != self.labels.names:
            raise ValueError("TubeTruth.tubes.classes differ from the labels' names")
        seen = set(self.tubes.video.tolist())
        if set(self.sizes) != set(self.frames) or not seen <= set(self.frames):
            raise ValueError("TubeTruth.sizes, frames and tubes have different videos")
        if not self.rate > 0 or any(count < 0 for count in self.frames.values()):
            raise ValueError("TubeTruth.rate must be above 0, and frames must not be negative")
        if any(min(size) < 1 for size in self.sizes.values()):
            raise ValueError("TubeTruth.sizes must be heights and widths of at least 1")

    @property
    def videos(self) -> tuple[str, ...]:
        """The videos in the data set's order."""
        return tuple(self.frames)

    def keyframes(self) -> Keyframes:
        """Return every frame of every video."""
        counts = list(self.frames.values())
        video = np.repeat(np.array(self.videos, np.str_), counts)
        time = [np.arange(count) / self.rate for count in counts]
        return Keyframes(video, np.concatenate([np.zeros(0), *time]))


def frame_instances(tubes: Tubes) -> Instances:
    """Make one row per box, in tube order, with its tube's label and its own score."""
    videos, video = np.unique(tubes.video, return_inverse=True)
    return Instances(
        videos=tuple(videos.tolist()),
        video=video.astype(np.int32)[tubes.owner],
        time=tubes.time,
        box=tubes.box,
        label=tubes.label[tubes.owner],
        score=tubes.box_score,
        classes=tubes.classes,
    )


@dataclass(frozen=True)
class PixelTube:
    """One tube of a file, not yet validated."""

    video: str
    label: int  # from 0
    score: float
    rows: NDArray[Any]  # [k, 5 or 6]  frame, x1 y1 x2 y2, and optionally the box score


def rows_of(path: Path, where: str, value: Any, width: int) -> NDArray[np.float64]:
    """Validate the array [k, width] of one tube, k >= 1; raises AnnotationError otherwise."""
    rows = value if isinstance(value, np.ndarray) else np.array(value, object)
    if rows.ndim != 2 or rows.shape[1] != width or not len(rows):
        names = "frame, x1, y1, x2, y2" + ", score" * (width == 6)
        raise AnnotationError(
            f"{path}: {where}: wants rows of {names}, got an array of shape {rows.shape}"
        )
    try:
        return np.asarray(rows, np.float64)
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"{path}: {where}: contains non-numeric values") from error


def from_pixels(
    path: Path, tubes: Sequence[PixelTube], sizes: Sizes, rate: float, classes: tuple[str, ...]
) -> Tubes:
    """Convert tubes to seconds and fractions; truth (five columns) gets score 1.

    Raises AnnotationError: file, tube, reason.
    """
    if not tubes:
        return Tubes.empty(classes)
    rows = np.concatenate([tube.rows for tube in tubes])
    start = np.concatenate([[0], np.cumsum([len(tube.rows) for tube in tubes])]).astype(np.int64)
    _check(path, tubes, rows, start, classes)
    video = np.array([tube.video for tube in tubes], np.str_)
    return Tubes(
        video=video,
        label=np.array([tube.label for tube in tubes], np.int32),
        score=np.array([tube.score for tube in tubes], np.float64),
        track=np.full(len(tubes), -1, np.int32),
        start=start,
        time=(rows[:, 0] - 1) / rate,
        box=rows[:, 1:5] / np.repeat(scale(video, sizes), np.diff(start), axis=0),
        box_score=rows[:, 5] if rows.shape[1] == 6 else np.ones(len(rows), np.float64),
        interpolated=np.zeros(len(rows), np.bool_),
        classes=classes,
    )


def to_pixels(tubes: Tubes, sizes: Sizes, rate: float) -> NDArray[np.float32]:
    """Return frame, x1 y1 x2 y2, score [t, 6] per box; ValueError for a time between frames.

    In float32, as data sets store them, so float32 pixels round-trip exactly.
    """
    pixels = tubes.box * np.repeat(scale(tubes.video, sizes), np.diff(tubes.start), axis=0)
    frame = frame_numbers(tubes.time, rate)
    return np.column_stack([frame, pixels, tubes.box_score]).astype(np.float32)


def frame_numbers(time: NDArray[np.float64], rate: float) -> NDArray[np.int64]:
    """Convert seconds [n] to frames [n] from 1; raises ValueError for a time between frames."""
    frame = np.rint(time * rate)
    # Times may be rounded to a millisecond, as printed in files.
    if (np.abs(frame / rate - time) > 0.0006).any():
        raise ValueError(f"some times fall between frames at {rate:g} frames a second")
    return frame.astype(np.int64) + 1


def scale(videos: Iterable[str], sizes: Sizes) -> NDArray[np.float64]:
    """Return width, height, width, height [n, 4] of these videos, in pixels."""
    sides = [sizes[video][::-1] * 2 for video in videos]
    return np.array(sides, np.float64).reshape(-1, 4)


def _check(
    path: Path,
    tubes: Sequence[PixelTube],
    rows: NDArray[np.float64],
    start: NDArray[np.int64],
    classes: tuple[str, ...],
) -> None:
    """Raise AnnotationError for the first invalid tube."""
    owner = np.repeat(np.arange(len(tubes)), np.diff(start))
    frame = rows[:, 0]
    increases = np.append(True, np.diff(frame) > 0)
    increases[start[:-1]] = True
    score = np.array([tube.score for tube in tubes], np.float64)
    faults = (
        ("the label is not one of the file's classes", _invalid_labels(tubes, len(classes))),
        ("the score is not finite", np.flatnonzero(~np.isfinite(score))),
        ("a box or frame is not finite", owner[~np.isfinite(rows).all(1)]),
        ("frames must be integers >= 1", owner[(frame < 1) | (frame != np.rint(frame))]),
        ("frames must increase strictly", owner[~increases]),
    )
    for reason, wrong in faults:
        if len(wrong):
            tube = tubes[int(wrong[0])]
            affected = len(np.unique(wrong))
            count = f" ({affected} such tubes)" if affected > 1 else ""
            raise AnnotationError(f"{path}: {tube.video}, label {tube.label}: {reason}{count}")


def _invalid_labels(tubes: Sequence[PixelTube], count: int) -> NDArray[np.intp]:
    return np.flatnonzero([not 0 <= tube.label < count for tube in tubes])
