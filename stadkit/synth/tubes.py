"""True tubes: one for each unbroken stretch in which a person is seen doing something."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, milliseconds

Tube = dict[str, Any]
DIGITS = 6  # of the boxes in the file


def true_tubes(truth: Detections, ids: tuple[int, ...], step: float) -> list[Tube]:
    """The tubes of one video's truth at every frame; frames are `step` seconds apart.

    `ids` are the classes' label ids. A tube ends where its person is hidden or stops; it
    starts at its first frame's time and ends at its last one's. Tubes come by person, class
    and start, and are numbered from 0.
    """
    tubes: list[Tube] = []
    for person in np.unique(truth.track):
        for c, name in enumerate(truth.classes):
            rows = np.flatnonzero((truth.track == person) & (truth.action[:, c] == 1))
            rows = rows[np.argsort(truth.time[rows], kind="stable")]
            for piece in _unbroken(rows, truth.time[rows], step):
                tubes.append(_tube(truth, piece, len(tubes), ids[c], name))
    return tubes


def _unbroken(
    rows: NDArray[np.intp], time: NDArray[np.float64], step: float
) -> list[NDArray[np.intp]]:
    """Rows [k], in order of time, cut where a frame is missing."""
    if not len(rows):
        return []
    return np.split(rows, np.flatnonzero(np.diff(time) > 1.5 * step) + 1)


def _tube(truth: Detections, rows: NDArray[np.intp], track: int, class_id: int, name: str) -> Tube:
    times = (milliseconds(truth.time[rows]) / 1000).tolist()
    return {
        "track": track,
        "class_id": class_id,
        "class": name,
        "score": 1.0,
        "start": times[0],
        "end": times[-1],
        "times": times,
        "boxes": [[round(float(v), DIGITS) for v in box] for box in truth.box[rows]],
        "scores": [1.0] * len(times),
        "interpolated": [False] * len(times),
    }
