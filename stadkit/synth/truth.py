"""Ground truth from the id map: the visible people, and the boxes of their visible parts.

True tubes: one for each uninterrupted interval in which a person is seen performing an action.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, milliseconds
from stadkit.synth.draws import Floats
from stadkit.synth.figure import FIRST_PROP_MATERIAL, MATERIALS, Ids
from stadkit.synth.scene import Painted, Scene, Staged
from stadkit.synth.skeleton import HEAD, JOINTS
from stadkit.tubes import Tubes

MIN_VISIBLE = 0.25  # minimum share of a person's pixels inside the frame
MIN_JOINTS_INSIDE = 5  # minimum number of joints in the frame, unless the head is
LARGE_SHARE = 0.06  # share of the frame from which a person counts without head and joints
MIN_HEIGHT, MIN_WIDTH, MIN_AREA = 9, 4, 25  # pixels: smaller people are ignored


@dataclass(frozen=True)
class Truth:
    """The annotated people of one frame."""

    box: NDArray[np.float32]  # [n, 4]  x1 y1 x2 y2, fractions of the frame
    person: NDArray[np.int32]  # [n]  index of the actor
    action: NDArray[np.float32]  # [n, C]  0 or 1


def truth(scene: Scene, staged: tuple[Staged, ...], painted: Painted, t: int) -> Truth:
    """The people to be detected in frame t."""
    height, width = scene.size
    scale = np.array([width, height, width, height])
    rows = []
    for i, actor in enumerate(scene.actors):
        uv = staged[i].shapes.view.uv[t, : len(JOINTS)]
        box = _visible_box(painted.ids, i + 1, painted.covered[i])
        large = painted.covered[i] >= LARGE_SHARE * width * height
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
    """Bounding box [4] of a person's visible pixels; None if there are too few."""
    first = number * MATERIALS
    mask = (ids >= first) & (ids < first + FIRST_PROP_MATERIAL)
    count = int(np.count_nonzero(mask))
    if count < max(MIN_AREA, MIN_VISIBLE * covered):
        return None
    x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    box = np.array([x[0], y[0], x[-1] + 1, y[-1] + 1], np.float64)
    if box[3] - box[1] < MIN_HEIGHT or box[2] - box[0] < MIN_WIDTH:
        return None
    return box


def _enough_inside(uv: Floats, width: int, height: int) -> bool:
    """Whether the head or a quarter of the joints is inside the frame."""
    inside: NDArray[np.bool_] = np.all((uv >= 0) & (uv <= (width, height)), axis=1)
    return bool(inside[HEAD] or inside.sum() >= MIN_JOINTS_INSIDE)


def true_tubes(truth: Detections, step: float) -> Tubes:
    """The tubes of a video's dense truth, with frames `step` seconds apart.

    A tube ends when its person is hidden or stops the action; its times are those of its first and
    last frame. Tubes are ordered by person, class and start.
    """
    tubes = [
        _tube(truth, rows, c)
        for person in np.unique(truth.track)
        for c in range(len(truth.classes))
        for rows in _intervals(truth, person, c, step)
    ]
    return Tubes.join(tubes, truth.classes)


def _intervals(truth: Detections, person: int, c: int, step: float) -> list[NDArray[np.intp]]:
    """The rows [k] of a person performing c, ordered by time, split where a frame is missing."""
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
