"""Instances: one row per (frame, box, class, score), the unit that evaluators count.

`Detections` has one row per person and one column per class. Evaluation files have one row per
box and class, and some protocols depend on the order of those rows, so evaluation keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections


@dataclass(frozen=True)
class Instances:
    """Truth or detections, one row per box and class; raises ValueError for an invalid column.

    Rows keep the order of their file. Truth has score 1.
    """

    videos: tuple[str, ...]  # unique names
    video: NDArray[np.int32]  # [n]     index into `videos`
    time: NDArray[np.float64]  # [n]     seconds from the start
    box: NDArray[np.float64]  # [n, 4]  x1 y1 x2 y2, fractions of the displayed frame
    label: NDArray[np.int32]  # [n]     index into `classes`; -1: a box without a class
    score: NDArray[np.float64]  # [n]
    classes: tuple[str, ...]  # [c]

    def __post_init__(self) -> None:
        n = len(self.video)
        wants = {"video": np.int32, "time": np.float64, "label": np.int32, "score": np.float64}
        for name, dtype in (*wants.items(), ("box", np.float64)):
            column, shape = getattr(self, name), (n, 4) if name == "box" else (n,)
            if column.shape != shape or column.dtype != dtype:
                got = f"{column.dtype} {column.shape}"
                raise ValueError(f"Instances.{name} is {got}, wants {np.dtype(dtype)} {shape}")
        for name, count in (("video", len(self.videos)), ("label", len(self.classes))):
            column = getattr(self, name)
            if n and (column.min() < (-1 if name == "label" else 0) or column.max() >= count):
                raise ValueError(f"Instances.{name} has an index out of range; wants < {count}")
        if not (np.isfinite(self.time).all() and np.isfinite(self.box).all()):
            raise ValueError("Instances.time and Instances.box must be finite")

    def __len__(self) -> int:
        return len(self.video)

    def select(self, rows: NDArray[Any]) -> Instances:
        """Return the rows of a mask [n], or of indices in the given order."""
        return replace(
            self,
            video=self.video[rows],
            time=self.time[rows],
            box=self.box[rows],
            label=self.label[rows],
            score=self.score[rows],
        )

    @classmethod
    def join(cls, tables: Iterable[Instances], classes: tuple[str, ...]) -> Instances:
        """Concatenate tables in order; raises ValueError when their classes differ."""
        parts = list(tables)
        for part in parts:
            if part.classes != classes:
                raise ValueError(f"Instances.classes differ: {part.classes} and {classes}")
        if len(parts) == 1:
            return parts[0]
        number: dict[str, int] = {}
        codes = [[number.setdefault(v, len(number)) for v in part.videos] for part in parts]
        video = [np.array(code, np.int32)[p.video] for code, p in zip(codes, parts, strict=True)]
        return cls(
            videos=tuple(number),
            video=np.concatenate([np.zeros(0, np.int32), *video]),
            time=np.concatenate([np.zeros(0), *(part.time for part in parts)]),
            box=np.concatenate([np.zeros((0, 4)), *(part.box for part in parts)]),
            label=np.concatenate([np.zeros(0, np.int32), *(part.label for part in parts)]),
            score=np.concatenate([np.zeros(0), *(part.score for part in parts)]),
            classes=classes,
        )

    @classmethod
    def of(cls, table: Detections) -> Instances:
        """Make one row per scored class of each detection, in the order of the table.

        Boxes are rounded to the six decimals that files print: evaluators compute in float64
        from those, so an IoU of exactly 0.5 falls on the same side here.
        """
        person, label = np.nonzero(~np.isnan(table.action))
        return cls._rows(table, person, label, table.action[person, label])

    @classmethod
    def of_truth(cls, table: Detections) -> Instances:
        """Make one row per class above 0.5; a person without any gets one row with label -1."""
        has = table.action > 0.5
        kept = np.column_stack([has, ~has.any(1)])
        person, label = np.nonzero(kept)
        label = np.where(label == has.shape[1], -1, label)
        return cls._rows(table, person, label, np.ones(len(person)))

    @classmethod
    def of_people(cls, table: Detections) -> Instances:
        """Make one row per person, all of class "person", scored by `person`.

        Where that is NaN, the best action score is used; rows with neither are dropped.
        """
        # fmax ignores NaN without a warning; an all-NaN row stays NaN.
        best = np.fmax.reduce(table.action, axis=1, initial=np.nan)
        score = np.where(np.isnan(table.person), best, table.person)
        rows = np.flatnonzero(~np.isnan(score))
        return replace(
            cls._rows(table, rows, np.full(len(rows), -1), score[rows]),
            label=np.zeros(len(rows), np.int32),
            classes=("person",),
        )

    @classmethod
    def _rows(
        cls, table: Detections, row: NDArray[Any], label: NDArray[Any], score: NDArray[Any]
    ) -> Instances:
        videos, video = np.unique(table.video, return_inverse=True)
        return cls(
            videos=tuple(videos.tolist()),
            video=video[row].astype(np.int32),
            time=table.time[row],
            box=np.round(table.box.astype(np.float64), 6)[row],
            label=label.astype(np.int32),
            score=score.astype(np.float64),
            classes=table.classes,
        )
