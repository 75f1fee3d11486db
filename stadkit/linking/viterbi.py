"""Paths through whole videos, as Gurkirt Singh's and YOWO's linking of single frames finds them.

For each class the path of the most energy goes through one box of every keyframe; its boxes are
taken out, the next path is sought, until a keyframe has no box left. Nothing is cut in time. It
is here to be compared with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.boxes import iou
from stadkit.detections import Detections, Keyframes, number_frames
from stadkit.tubes import Tubes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def link_viterbi(found: Detections, keyframes: Keyframes | None = None) -> Tubes:
    """The paths of each class of each video, by video and class, the most energy first.

    The energy of two boxes that follow each other is IoU + s1 + s2 + s1 s2 / 2 of their scores
    in the class. A keyframe without a box of a class has copies of those of the nearest one that
    has, the earlier of two as near; they are marked as interpolated. A path's score is the mean
    of its boxes'. Rows with a NaN score are no boxes of that class. `keyframes` are those looked
    at; None: those of `found`.
    """
    looked_at = Keyframes.of(found) if keyframes is None else keyframes
    frame, times = number_frames(found, looked_at)
    rows = np.argsort(frame, kind="stable")
    tubes = [
        _of_video(found, looked_at, *part) for part in _videos(found, looked_at, frame, times, rows)
    ]
    return Tubes.join(tubes, found.classes)


def _videos(
    found: Detections, looked_at: Keyframes, frame: Ints, times: Ints, rows: Ints
) -> list[tuple[Ints, Ints, Ints]]:
    """For each video its keyframes [t] in order, the rows [n] in them and the place of each."""
    order = np.argsort(times, kind="stable")
    order = order[np.append(True, np.diff(times[order]) > 0)[: len(order)]]
    rows = rows[np.isin(frame[rows], times)]
    place = np.searchsorted(times[order], frame[rows])
    video = looked_at.video[order]
    cuts = np.flatnonzero(video[1:] != video[:-1]) + 1
    starts = np.concatenate([[0], cuts, [len(order)]])
    row_starts = np.searchsorted(place, starts)
    return [
        (order[a:b], rows[c:d], place[c:d] - a)
        for a, b, c, d in zip(starts[:-1], starts[1:], row_starts[:-1], row_starts[1:], strict=True)
        if d > c
    ]


def _of_video(
    found: Detections, looked_at: Keyframes, keyframe: Ints, row: Ints, place: Ints
) -> Tubes:
    """The paths of one video; `row` [n] lie in its keyframes [t] at `place` [n]."""
    table = _table(place, row, len(keyframe))
    score = np.full((len(found.classes), *table.shape), -np.inf)
    score[:, table >= 0] = found.action[table[table >= 0]].T
    score[np.isnan(score)] = -np.inf
    classes = np.flatnonzero(np.isfinite(score).any((1, 2)))
    source = np.zeros((len(classes), len(keyframe)), np.int64)
    for taken, each in zip(source, score[classes], strict=True):
        taken[:] = _nearest(looked_at.time[keyframe], each)
    score = np.take_along_axis(score[classes], source[:, :, None], 1)
    overlap = _overlaps(found.box[table].astype(np.float64), source)
    label, paths = _paths(score, overlap)
    chosen = np.take_along_axis(table[source[label]], paths[:, :, None], 2)[:, :, 0]
    copied = source[label] != np.arange(len(keyframe))
    return _tubes(found, looked_at.time[keyframe], classes[label], chosen, copied)


def _table(place: Ints, row: Ints, keyframes: int) -> Ints:
    """The rows [t, b] of each keyframe, -1 where it has fewer than b."""
    count = np.bincount(place, minlength=keyframes)
    table = np.full((keyframes, int(count.max())), -1, np.int64)
    table[place, np.arange(len(place)) - (np.cumsum(count) - count)[place]] = row
    return table


def _nearest(time: Floats, score: Floats) -> Ints:
    """The keyframe [t] nearest to each that has a box of score [t, b]."""
    filled = np.flatnonzero(np.isfinite(score).any(1))
    later = np.clip(np.searchsorted(time[filled], time), 0, len(filled) - 1)
    earlier = np.maximum(later - 1, 0)
    behind = np.abs(time - time[filled[earlier]]) <= np.abs(time[filled[later]] - time)
    return filled[np.where(behind & (time[filled[later]] != time), earlier, later)]


def _overlaps(box: Floats, source: Ints) -> Floats:
    """IoU [c, t - 1, b, b] of boxes [t, b, 4] and the next, where c classes take them from."""
    pairs, which = np.unique(
        np.stack([source[:, :-1].ravel(), source[:, 1:].ravel()]), axis=1, return_inverse=True
    )
    b = box.shape[1]
    each = np.array([iou(box[i], box[j]) for i, j in pairs.T.tolist()]).reshape(-1, b, b)
    return np.asarray(each[which.ravel()].reshape(len(source), source.shape[1] - 1, b, b))


def _paths(score: Floats, overlap: Floats) -> tuple[Ints, Ints]:
    """The classes [p] and boxes [p, t] of the best paths by class; scores [c, t, b], -inf: none."""
    score, alive = score.copy(), np.arange(len(score))
    label, paths = [np.zeros(0, np.int64)], [np.zeros((0, score.shape[1]), np.int64)]
    while True:
        filled = np.isfinite(score[alive]).any(2)
        alive = alive[np.asarray(filled).all(1)]
        if not len(alive):
            break
        best = _best_path(score[alive], overlap[alive])
        label.append(alive)
        paths.append(best)
        score[alive[:, None], np.arange(score.shape[1]), best] = -np.inf
    order = np.argsort(np.concatenate(label), kind="stable")
    return np.concatenate(label)[order], np.concatenate(paths)[order]


def _best_path(score: Floats, overlap: Floats) -> Ints:
    """The box [c, t] of the path of the most energy; of equal paths that of the first boxes."""
    there = np.where(np.isfinite(score), 0.0, -np.inf)
    value = np.where(np.isfinite(score), score, 0.0)
    c, t, _ = score.shape
    energy, before = there[:, 0], []
    for i in range(1, t):
        one, other = value[:, i - 1, :, None], value[:, i, None]
        link = overlap[:, i - 1] + one + other + 0.5 * one * other
        total = energy[:, :, None] + link
        before.append(total.argmax(1))
        energy = total.max(1) + there[:, i]
    path = np.empty((c, t), np.int64)
    path[:, -1] = energy.argmax(1)
    for i in range(t - 1, 0, -1):
        path[:, i - 1] = before[i - 1][np.arange(c), path[:, i]]
    return path


def _tubes(
    found: Detections, time: Floats, label: Ints, row: Ints, copied: NDArray[np.bool_]
) -> Tubes:
    """A tube for each path of rows [p, t] at the times [t]."""
    p, t = row.shape
    box_score = found.action[row, label[:, None]].astype(np.float64)
    return Tubes(
        video=found.video[row[:, 0]],
        label=label.astype(np.int32),
        score=box_score.mean(1),
        track=np.full(p, -1, np.int32),
        start=np.arange(p + 1, dtype=np.int64) * t,
        time=np.tile(time, p),
        box=found.box[row.ravel()].astype(np.float64),
        box_score=box_score.ravel(),
        interpolated=copied.ravel(),
        classes=found.classes,
    )
