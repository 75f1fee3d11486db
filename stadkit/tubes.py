"""Tubes (one person, one action, a box at every time from start to end) and short tubelets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tubes:
    """n tubes and their t boxes; raises ValueError for an invalid column.

    Tube i has the rows start[i]:start[i + 1] of the last four columns, at strictly increasing
    times. A tube has at least one box.
    """

    video: NDArray[np.str_]  # [n]      file stem, or the data set's id
    label: NDArray[np.int32]  # [n]      index into `classes`
    score: NDArray[np.float64]  # [n]      finite; 1 in truth
    track: NDArray[np.int32]  # [n]      person id, -1: unknown
    start: NDArray[np.int64]  # [n + 1]  first box of each tube, then t
    time: NDArray[np.float64]  # [t]      seconds from the start of the video
    box: NDArray[np.float64]  # [t, 4]   x1 y1 x2 y2, fractions of the displayed frame
    box_score: NDArray[np.float64]  # [t]
    interpolated: NDArray[np.bool_]  # [t]      no detection at this time
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        n, t = len(self.video), len(self.time)
        wants: dict[str, tuple[Any, tuple[int, ...]]] = {
            "label": (np.int32, (n,)),
            "score": (np.float64, (n,)),
            "track": (np.int32, (n,)),
            "start": (np.int64, (n + 1,)),
            "time": (np.float64, (t,)),
            "box": (np.float64, (t, 4)),
            "box_score": (np.float64, (t,)),
            "interpolated": (np.bool_, (t,)),
        }
        for name, (dtype, shape) in wants.items():
            column = getattr(self, name)
            if column.shape != shape or column.dtype != dtype:
                got = f"{column.dtype} {column.shape}"
                raise ValueError(f"Tubes.{name} is {got}, wants {np.dtype(dtype)} {shape}")
        if self.video.dtype.kind != "U":
            raise ValueError(f"Tubes.video holds {self.video.dtype}, wants text")
        if n and not (self.label.min() >= 0 and self.label.max() < len(self.classes)):
            raise ValueError(f"Tubes.label is outside 0..{len(self.classes) - 1}")
        if self.start[0] != 0 or self.start[-1] != t or (np.diff(self.start) < 1).any():
            raise ValueError(f"Tubes.start must increase strictly from 0 to {t}")
        for name in ("score", "time", "box", "box_score"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"Tubes.{name} must be finite")
        later = np.diff(self.time) > 0
        later[self.start[1:-1] - 1] = True  # from one tube to the next
        if not later.all():
            row = int(np.flatnonzero(~later)[0]) + 1
            raise ValueError(f"Tubes.time does not increase within a tube at row {row}")

    def __len__(self) -> int:
        return len(self.video)

    @property
    def owner(self) -> NDArray[np.int64]:
        """The tube index [t] of each box."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    @classmethod
    def empty(cls, classes: tuple[str, ...]) -> Tubes:
        """Return an empty table over these classes."""
        return cls(
            video=np.zeros(0, np.str_),
            label=np.zeros(0, np.int32),
            score=np.zeros(0, np.float64),
            track=np.zeros(0, np.int32),
            start=np.zeros(1, np.int64),
            time=np.zeros(0, np.float64),
            box=np.zeros((0, 4), np.float64),
            box_score=np.zeros(0, np.float64),
            interpolated=np.zeros(0, np.bool_),
            classes=classes,
        )

    @classmethod
    def join(cls, tables: Iterable[Tubes], classes: tuple[str, ...]) -> Tubes:
        """Concatenate tables in order; raises ValueError when their classes differ."""
        parts = [cls.empty(classes), *tables]
        for part in parts:
            if part.classes != classes:
                raise ValueError(f"Tubes.classes differ: {part.classes} and {classes}")
        lengths = np.concatenate([np.diff(part.start) for part in parts])
        return cls(
            start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            classes=classes,
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in ("video", "label", "score", "track", *_BOX_COLUMNS)
            },
        )

    def select(self, tubes: NDArray[Any]) -> Tubes:
        """Return the tubes of a mask [n], or of indices in the given order."""
        chosen = np.arange(len(self))[tubes]
        length = np.diff(self.start)[chosen]
        start = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
        rows = np.repeat(self.start[chosen] - start[:-1], length) + np.arange(start[-1])
        return replace(
            self,
            start=start,
            **{name: getattr(self, name)[chosen] for name in ("video", "label", "score", "track")},
            **{name: getattr(self, name)[rows] for name in _BOX_COLUMNS},
        )


_BOX_COLUMNS: Sequence[str] = ("time", "box", "box_score", "interpolated")


@dataclass(frozen=True)
class Tubelets:
    """Tubes of k frames each, as clip detectors output; raises ValueError for an invalid column.

    Rows keep the order of their file: linking and soft NMS break ties by it.
    """

    videos: tuple[str, ...]  # unique names
    video: NDArray[np.int32]  # [n]        index into `videos`
    frame: NDArray[np.int64]  # [n]        the first of the k frames, counted from 1
    label: NDArray[np.int32]  # [n]        index into `classes`
    score: NDArray[np.float64]  # [n]        finite
    box: NDArray[np.float64]  # [n, k, 4]  x1 y1 x2 y2 in PIXELS
    classes: tuple[str, ...]  # [c]

    def __post_init__(self) -> None:
        n = len(self.video)
        if self.box.ndim != 3 or self.box.shape[1] < 1:
            raise ValueError(f"Tubelets.box has shape {self.box.shape}, wants (n, k, 4)")
        wants: dict[str, tuple[Any, tuple[int, ...]]] = {
            "video": (np.int32, (n,)),
            "frame": (np.int64, (n,)),
            "label": (np.int32, (n,)),
            "score": (np.float64, (n,)),
            "box": (np.float64, (n, self.box.shape[1], 4)),
        }
        for name, (dtype, shape) in wants.items():
            column = getattr(self, name)
            if column.shape != shape or column.dtype != dtype:
                got = f"{column.dtype} {column.shape}"
                raise ValueError(f"Tubelets.{name} is {got}, wants {np.dtype(dtype)} {shape}")
        for name, count in (("video", len(self.videos)), ("label", len(self.classes))):
            column = getattr(self, name)
            if n and (column.min() < 0 or column.max() >= count):
                raise ValueError(f"Tubelets.{name} is outside 0..{count - 1}")
        if n and self.frame.min() < 1:
            raise ValueError("Tubelets.frame counts from 1")
        if not (np.isfinite(self.score).all() and np.isfinite(self.box).all()):
            raise ValueError("Tubelets.score and Tubelets.box must be finite")

    def __len__(self) -> int:
        return len(self.video)

    @property
    def length(self) -> int:
        """The number of frames of a tubelet, k."""
        return int(self.box.shape[1])

    @classmethod
    def empty(cls, videos: tuple[str, ...], length: int, classes: tuple[str, ...]) -> Tubelets:
        """Return an empty table of tubelets of this many frames."""
        return cls(
            videos=videos,
            video=np.zeros(0, np.int32),
            frame=np.zeros(0, np.int64),
            label=np.zeros(0, np.int32),
            score=np.zeros(0, np.float64),
            box=np.zeros((0, length, 4), np.float64),
            classes=classes,
        )

    def select(self, rows: NDArray[Any]) -> Tubelets:
        """Return the rows of a mask [n], or of indices in the given order."""
        columns = ("video", "frame", "label", "score", "box")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})
