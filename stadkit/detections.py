"""The common table of people and their actions: truth, predictions, pseudo labels and tubes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


def milliseconds(time: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round seconds [n] to integer milliseconds [n]; equal values mean the same frame."""
    return np.rint(np.asarray(time, np.float64) * 1000).astype(np.int64)


@dataclass(frozen=True)
class Detections:
    """Detected or annotated people, one row each; raises ValueError for an invalid column.

    Truth has scores 0 or 1; a tube of one class has 0 for the others. NaN means not scored:
    a class without a row in a prediction file, or a person score that the format cannot hold.
    """

    video: NDArray[np.str_]  # [n]     file stem
    time: NDArray[np.float64]  # [n]     seconds from the start
    box: NDArray[np.float32]  # [n, 4]  x1 y1 x2 y2, fractions of the displayed frame
    person: NDArray[np.float32]  # [n]     0..1, or NaN
    action: NDArray[np.float32]  # [n, c]  independent score of each class, 0..1, or NaN
    track: NDArray[np.int32]  # [n]     person, tubelet or tube; -1: none
    classes: tuple[str, ...]  # [c]

    def __post_init__(self) -> None:
        n, c = len(self.video), len(self.classes)
        _check_column("video", self.video, (n,), "U")
        _check_column("time", self.time, (n,), np.float64)
        _check_column("box", self.box, (n, 4), np.float32)
        _check_column("person", self.person, (n,), np.float32)
        _check_column("action", self.action, (n, c), np.float32)
        _check_column("track", self.track, (n,), np.int32)
        _check_finite("time", self.time)
        _check_finite("box", self.box)
        _check_score("person", self.person)
        _check_score("action", self.action)

    def __len__(self) -> int:
        return len(self.video)

    @classmethod
    def empty(cls, classes: tuple[str, ...]) -> Detections:
        """Return an empty table over these classes."""
        return cls(
            video=np.zeros(0, np.str_),
            time=np.zeros(0, np.float64),
            box=np.zeros((0, 4), np.float32),
            person=np.zeros(0, np.float32),
            action=np.zeros((0, len(classes)), np.float32),
            track=np.zeros(0, np.int32),
            classes=classes,
        )

    @classmethod
    def join(cls, tables: Iterable[Detections], classes: tuple[str, ...]) -> Detections:
        """Concatenate tables in order; raises ValueError when their classes differ."""
        parts = [cls.empty(classes), *tables]
        for part in parts:
            if part.classes != classes:
                raise ValueError(f"Detections.classes differ: {part.classes} and {classes}")
        return cls(
            video=np.concatenate([part.video for part in parts]),
            time=np.concatenate([part.time for part in parts]),
            box=np.concatenate([part.box for part in parts]),
            person=np.concatenate([part.person for part in parts]),
            action=np.concatenate([part.action for part in parts]),
            track=np.concatenate([part.track for part in parts]),
            classes=classes,
        )

    def select(self, rows: NDArray[Any]) -> Detections:
        """Return the rows of a mask [n], or of indices in the given order."""
        return replace(
            self,
            video=self.video[rows],
            time=self.time[rows],
            box=self.box[rows],
            person=self.person[rows],
            action=self.action[rows],
            track=self.track[rows],
        )

    def with_track(self, track: NDArray[np.int32]) -> Detections:
        """Return the same rows with these track numbers [n]."""
        return replace(self, track=track)

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame: video, time, x1..y2, person, track, then one column per class."""
        import pandas as pd

        columns: dict[str, Any] = {"video": self.video, "time": self.time}
        columns |= {name: self.box[:, i] for i, name in enumerate(("x1", "y1", "x2", "y2"))}
        columns |= {"person": self.person, "track": self.track}
        scores = pd.DataFrame(self.action, columns=list(self.classes))
        return pd.concat([pd.DataFrame(columns), scores], axis=1)


@dataclass(frozen=True)
class Keyframes:
    """The processed (video, time) pairs: tells an empty keyframe from an unprocessed one."""

    video: NDArray[np.str_]  # [k]  file stem
    time: NDArray[np.float64]  # [k]  seconds from the start

    def __post_init__(self) -> None:
        _check_column("video", self.video, (len(self.video),), "U", "Keyframes")
        _check_column("time", self.time, (len(self.video),), np.float64, "Keyframes")
        _check_finite("time", self.time, "Keyframes")

    def __len__(self) -> int:
        return len(self.video)

    @classmethod
    def of(cls, table: Detections) -> Keyframes:
        """Return the unique keyframes with rows in this table, sorted by video and time."""
        (frames,) = number_frames(table)
        first = np.unique(frames, return_index=True)[1]
        return cls(table.video[first], milliseconds(table.time[first]) / 1000)


def number_frames(*tables: Detections | Keyframes) -> list[NDArray[np.int64]]:
    """Number the frame [n] of each row of each table; equal frames get equal numbers in all tables.

    Numbers sort by video, then by time, to a millisecond.
    """
    video = _rank(np.concatenate([table.video for table in tables]))
    ms = _rank(milliseconds(np.concatenate([table.time for table in tables])))
    frame = video * (ms.max(initial=0) + 1) + ms
    return np.split(frame, np.cumsum([len(table) for table in tables])[:-1])


def rows_by_keyframe(table: Detections) -> dict[tuple[str, int], list[int]]:
    """Map (video, milliseconds) to the rows of that keyframe, in the table's order."""
    rows: dict[tuple[str, int], list[int]] = {}
    keys = zip(table.video.tolist(), milliseconds(table.time).tolist(), strict=True)
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return rows


def _rank(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the rank [n] of each value among the sorted unique values."""
    # Rows of a video are mostly adjacent: comparing neighbours avoids sorting them all.
    starts = np.ones(len(values), bool)
    starts[1:] = values[1:] != values[:-1]
    rank = np.unique(values[starts], return_inverse=True)[1]
    return np.asarray(rank[np.cumsum(starts) - 1], np.int64)


def _check_column(
    name: str, column: Any, shape: tuple[int, ...], dtype: Any, owner: str = "Detections"
) -> None:
    if not isinstance(column, np.ndarray):
        raise ValueError(f"{owner}.{name} is a {type(column).__name__}, wants a NumPy array")
    if column.shape != shape:
        raise ValueError(f"{owner}.{name} has shape {column.shape}, wants {shape}")
    fits = column.dtype.kind == dtype if isinstance(dtype, str) else column.dtype == dtype
    if not fits:
        wanted = "text" if dtype == "U" else np.dtype(dtype).name
        raise ValueError(f"{owner}.{name} holds {column.dtype}, wants {wanted}")


def _check_finite(name: str, column: NDArray[Any], owner: str = "Detections") -> None:
    if not np.isfinite(column).all():
        row = int(np.argwhere(~np.isfinite(column))[0][0])
        raise ValueError(f"{owner}.{name} is not finite in row {row}")


def _check_score(name: str, column: NDArray[np.float32]) -> None:
    # NaN fails both comparisons, so it passes here as "not scored".
    wrong = (column < 0) | (column > 1)
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        raise ValueError(f"Detections.{name} is outside 0..1 in row {row}")
