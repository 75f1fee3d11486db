"""True tubes: one for each unbroken stretch in which a person is seen doing something."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, milliseconds
from stadkit.tubes import Tubes


def true_tubes(truth: Detections, step: float) -> Tubes:
    """The tubes of one video's truth at every frame; frames are `step` seconds apart.

    A tube ends where its person is hidden or stops; it starts at its first frame's time and
    ends at its last one's. Tubes come by person, class and start.
    """
    tubes = [
        _tube(truth, piece, c)
        for person in np.unique(truth.track)
        for c in range(len(truth.classes))
        for piece in _unbroken(truth, person, c, step)
    ]
    return Tubes.join(tubes, truth.classes)


def _unbroken(truth: Detections, person: int, c: int, step: float) -> list[NDArray[np.intp]]:
    """The rows [k] of a person doing c, in order of time, cut where a frame is missing."""
    rows = np.flatnonzero((truth.track == person) & (truth.action[:, c] == 1))
    if not len(rows):
        return []
    rows = rows[np.argsort(truth.time[rows], kind="stable")]
    return np.split(rows, np.flatnonzero(np.diff(truth.time[rows]) > 1.5 * step) + 1)


def _tube(truth: Detections, rows: NDArray[np.intp], c: int) -> Tubes:
    return Tubes(
        video=truth.video[rows[:1]],
        label=np.array([c], np.int32),
        score=np.ones(1, np.float64),
        track=truth.track[rows[:1]],
        start=np.array([0, len(rows)], np.int64),
        time=milliseconds(truth.time[rows]) / 1000,
        box=truth.box[rows].astype(np.float64),
        box_score=np.ones(len(rows), np.float64),
        interpolated=np.zeros(len(rows), np.bool_),
        classes=truth.classes,
    )
