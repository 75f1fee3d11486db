"""Viterbi linking through whole videos, as Gurkirt Singh and YOWO link single frames: a baseline.

For each class, the path of highest energy takes one box of every keyframe; its boxes are removed
and the search repeats until a keyframe has no box left. Paths are not trimmed in time.
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
    """Link each class of each video; tubes are sorted by video and class, highest energy first.

    The energy of two consecutive boxes is IoU + s1 + s2 + s1 s2 / 2, from their scores in the
    class. A keyframe without a box of a class copies those of the nearest keyframe that has some
    (ties: the earlier), marked as interpolated. A path's score is the mean over its boxes. Rows
    with a NaN score do not count for that class. `keyframes`: those processed; None: those of
    `found`.
    """
    processed = Keyframes.of(found) if keyframes is None else keyframes
    frame, times = number_frames(found, processed)
    rows = np.argsort(frame, kind="stable")
    tubes = [
        _link_video(found, processed, *part)
        for part in _videos(found, processed, frame, times, rows)
    ]
    return Tubes.join(tubes, found.classes)


def _videos(
    found: Detections, processed: Keyframes, frame: Ints, times: Ints, rows: Ints
) -> list[tuple[Ints, Ints, Ints]]:
    """Return for each video its sorted keyframes [t], their rows [n] and each row's keyframe."""
    order = np.argsort(times, kind="stable")
    order = order[np.append(True, np.diff(times[order]) > 0)[: len(order)]]
    rows = rows[np.isin(frame[rows], times)]
    place = np.searchsorted(times[order], frame[rows])
    video = processed.video[order]
    cuts = np.flatnonzero(video[1:] != video[:-1]) + 1
    starts = np.concatenate([[0], cuts, [len(order)]])
    row_starts = np.searchsorted(place, starts)
    return [
        (order[a:b], rows[c:d], place[c:d] - a)
        for a, b, c, d in zip(starts[:-1], starts[1:], row_starts[:-1], row_starts[1:], strict=True)
        if d > c
    ]


def _link_video(
    found: Detections, processed: Keyframes, keyframe: Ints, row: Ints, place: Ints
) -> Tubes:
    """Find the paths of one video; `row` [n] lies in keyframe number `place` [n] of [t]."""
    table = _table(place, row, len(keyframe))
    score = np.full((len(found.classes), *table.shape), -np.inf)
    score[:, table >= 0] = found.action[table[table >= 0]].T
    score[np.isnan(score)] = -np.inf
    classes = np.flatnonzero(np.isfinite(score).any((1, 2)))
    source = np.zeros((len(classes), len(keyframe)), np.int64)
    for taken, each in zip(source, score[classes], strict=True):
        taken[:] = _nearest(processed.time[keyframe], each)
    score = np.take_along_axis(score[classes], source[:, :, None], 1)
    overlap = _overlaps(found.box[table].astype(np.float64), source)
    label, paths = _paths(score, overlap)
    chosen = np.take_along_axis(table[source[label]], paths[:, :, None], 2)[:, :, 0]
    copied = source[label] != np.arange(len(keyframe))
    return _tubes(found, processed.time[keyframe], classes[label], chosen, copied)


def _table(place: Ints, row: Ints, keyframes: int) -> Ints:
    """Return the rows [t, b] of each keyframe, padded by -1."""
    count = np.bincount(place, minlength=keyframes)
    table = np.full((keyframes, int(count.max())), -1, np.int64)
    table[place, np.arange(len(place)) - (np.cumsum(count) - count)[place]] = row
    return table


def _nearest(time: Floats, score: Floats) -> Ints:
    """Return for each keyframe the nearest one [t] with a finite score [t, b]."""
    filled = np.flatnonzero(np.isfinite(score).any(1))
    later = np.clip(np.searchsorted(time[filled], time), 0, len(filled) - 1)
    earlier = np.maximum(later - 1, 0)
    behind = np.abs(time - time[filled[earlier]]) <= np.abs(time[filled[later]] - time)
    return filled[np.where(behind & (time[filled[later]] != time), earlier, later)]


def _overlaps(box: Floats, source: Ints) -> Floats:
    """Return IoU [c, t - 1, b, b] of consecutive boxes [t, b, 4]; source [c, t]: keyframes used."""
    pairs, which = np.unique(
        np.stack([source[:, :-1].ravel(), source[:, 1:].ravel()]), axis=1, return_inverse=True
    )
    b = box.shape[1]
    each = np.array([iou(box[i], box[j]) for i, j in pairs.T.tolist()]).reshape(-1, b, b)
    return np.asarray(each[which.ravel()].reshape(len(source), source.shape[1] - 1, b, b))


def _paths(score: Floats, overlap: Floats) -> tuple[Ints, Ints]:
    """Find the best paths, by class: classes [p], boxes [p, t]; score [c, t, b], -inf: none."""
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
    """Return the boxes [c, t] of the highest-energy path; ties prefer the first boxes."""
    mask = np.where(np.isfinite(score), 0.0, -np.inf)
    value = np.where(np.isfinite(score), score, 0.0)
    c, t, _ = score.shape
    energy, before = mask[:, 0], []
    for i in range(1, t):
        first, second = value[:, i - 1, :, None], value[:, i, None]
        link = overlap[:, i - 1] + first + second + 0.5 * first * second
        total = energy[:, :, None] + link
        before.append(total.argmax(1))
        energy = total.max(1) + mask[:, i]
    path = np.empty((c, t), np.int64)
    path[:, -1] = energy.argmax(1)
    for i in range(t - 1, 0, -1):
        path[:, i - 1] = before[i - 1][np.arange(c), path[:, i]]
    return path


def _tubes(
    found: Detections, time: Floats, label: Ints, row: Ints, copied: NDArray[np.bool_]
) -> Tubes:
    """Make a tube of each path of rows [p, t] at the times [t]."""
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
