"""Truth from the id map: who is visible, and the box of what is visible.

True tubes: one for each unbroken stretch in which a person is seen doing something.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, milliseconds
from stadkit.synth.draws import Floats
from stadkit.synth.figure import MATERIALS, OWN, Ids
from stadkit.synth.scene import Painted, Scene, Staged
from stadkit.synth.skeleton import HEAD, JOINTS
from stadkit.tubes import Tubes

VISIBLE = 0.25  # of the pixels that a person has inside the picture
INSIDE = 5  # joints in the picture, unless the head is
LARGE = 0.06  # of the picture: who covers as much is there without head and joints
TALL, WIDE, AREA = 9, 4, 25  # pixels: smaller people are not counted


@dataclass(frozen=True)
class Truth:
    """The people of one frame."""

    box: NDArray[np.float32]  # [n, 4]  x1 y1 x2 y2, fractions of the frame
    person: NDArray[np.int32]  # [n]  index of the actor
    action: NDArray[np.float32]  # [n, C]  0 or 1


def truth(scene: Scene, staged: tuple[Staged, ...], painted: Painted, t: int) -> Truth:
    """Who is to be found in frame t."""
    height, width = scene.size
    scale = np.array([width, height, width, height])
    rows = []
    for i, actor in enumerate(scene.actors):
        uv = staged[i].shapes.view.uv[t, : len(JOINTS)]
        box = _visible_box(painted.ids, i + 1, painted.covered[i])
        large = painted.covered[i] >= LARGE * width * height
        if box is not None and (large or _enough_inside(uv, width, height)):
            rows.append((box / scale, i, actor.timeline.action[t]))
    return _table(rows, len(scene.actors[0].timeline.action[0]) if scene.actors else 0)


def _table(rows: list[tuple[Floats, int, NDArray[np.bool_]]], classes: int) -> Truth:
    n = len(rows)
    return Truth(
        box=np.array([row[0] for row in rows], np.float32).reshape(n, 4),
        person=np.array([row[1] for row in rows], np.int32),
        action=np.array([row[2] for row in rows], np.float32).reshape(n, classes),
    )


def _visible_box(ids: Ids, number: int, covered: int) -> Floats | None:
    """Extent [4] in pixels of a person's own pixels, None where too few are left."""
    first = number * MATERIALS
    mine = (ids >= first) & (ids < first + OWN)
    count = int(np.count_nonzero(mine))
    if count < max(AREA, VISIBLE * covered):
        return None
    x, y = np.flatnonzero(mine.any(0)), np.flatnonzero(mine.any(1))
    box = np.array([x[0], y[0], x[-1] + 1, y[-1] + 1], np.float64)
    if box[3] - box[1] < TALL or box[2] - box[0] < WIDE:
        return None
    return box


def _enough_inside(uv: Floats, width: int, height: int) -> bool:
    """A head in the picture, or a quarter of the joints: the frame hides people too."""
    inside: NDArray[np.bool_] = np.all((uv >= 0) & (uv <= (width, height)), axis=1)
    return bool(inside[HEAD] or inside.sum() >= INSIDE)


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
