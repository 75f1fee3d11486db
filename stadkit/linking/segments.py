"""Tracks and their action scores -> tubes: each action of a person from its start to its end.

Tracks and what is done on them -> tubes, one action each.

When a person does what: scores along tracks, cut into stretches of each class.

A two-state Viterbi path for each track and class: a keyframe in a stretch earns what its score
is above the threshold, times its seconds; starting or ending one costs.

Smoothing along tracks of any length, with time steps of any size.

Tracks on the grid of keyframes: a box and scores at every one from first to last sight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Rows
from stadkit.linking.association import Floats
from stadkit.linking.options import Options
from stadkit.tubes import Tubes

# A tube goes on over missed keyframes for as long as two, and no longer than seven: at 25 a second
# nobody who is there is missed so often in a row.
FEWEST, MOST = 2, 7
FARTHEST = 10.0  # seconds that two missed keyframes may take
Mask = NDArray[np.bool_]
PEAK = 0.5  # a class is on where its score is above this part of its best on the track
REACH = 3.0  # of the Gaussian, in its widths


def extract_tubes(
    grid: Grid, video: str, classes: tuple[str, ...], interval: float, missed: int, o: Options
) -> Tubes:
    """The tubes of these tracks; `interval` seconds is what a lone keyframe stands for, and over
    at most `missed` keyframes in a row somebody is rather missed than away."""
    box = smooth(grid.box, grid.time, grid.length, o.smooth, line=True)
    soft = smooth(grid.score, grid.time, grid.length, o.smooth_scores, line=False)
    seconds = _seconds(grid, interval)
    # Nobody saw what goes on in a long absence: it is the same person, but no tube.
    near = grid.unseen <= longest_gap(o.max_fill, interval)
    present = near & (grid.missed <= missed) & _inside(grid)
    on = activity_segments(soft, seconds, present, o.min_score, o.switch)
    who, label, first, last = _runs(on)
    tube, step = _steps_of_tubes(first, last)
    n = who[tube]
    return Tubes(
        video=np.full(len(who), video),
        label=label.astype(np.int32),
        score=_scores(grid, who, label, first, last),
        track=grid.track[who],
        start=np.append(0, np.cumsum(last - first + 1)).astype(np.int64),
        time=grid.time[step, n],
        box=_sound(box[step, n]),
        box_score=grid.score[step, n, label[tube]],
        interpolated=~grid.seen[step, n],
        classes=classes,
    )


def longest_gap(seconds: float, interval: float) -> float:
    """Seconds between two sights that a tube may bridge, with keyframes `interval` apart."""
    fewest = min((FEWEST + 1) * interval, FARTHEST)
    return max(min(seconds, (MOST + 1) * interval), fewest) + 1e-6


def _inside(grid: Grid) -> NDArray[np.bool_]:
    """Which steps [T, n] are within their track."""
    return np.asarray(np.arange(len(grid.frame))[:, None] < grid.length)


def _seconds(grid: Grid, interval: float) -> Floats:
    """Half the way to each neighbour [T, n]; at the ends as to the one there is."""
    gaps = np.diff(grid.time, axis=0)
    if not len(gaps):
        return np.full(grid.time.shape, interval)
    ahead = np.concatenate([gaps, gaps[-1:]])
    behind = np.concatenate([gaps[:1], gaps])
    ahead, behind = np.where(ahead > 0, ahead, behind), np.where(behind > 0, behind, ahead)
    both = (ahead + behind) / 2
    return np.asarray(np.where(both > 0, both, interval))


def _runs(on: NDArray[np.bool_]) -> tuple[Rows, Rows, Rows, Rows]:
    """(track, class, first step, last step) of each stretch, by track, class and time."""
    path = np.moveaxis(on, 0, -1)  # [n, c, T]
    edge = np.zeros((*path.shape[:2], 1), bool)
    change = np.diff(np.concatenate([edge, path, edge], -1).astype(np.int8), axis=-1)
    who, label, first = np.nonzero(change == 1)
    last = np.nonzero(change == -1)[2] - 1
    return who, label, first, last


def _steps_of_tubes(first: Rows, last: Rows) -> tuple[Rows, Rows]:
    """The tube and the step of every box."""
    length = last - first + 1
    tube = np.repeat(np.arange(len(first)), length)
    return tube, np.arange(len(tube)) - np.repeat(np.cumsum(length) - length - first, length)


def _scores(grid: Grid, who: Rows, label: Rows, first: Rows, last: Rows) -> Floats:
    """The mean score of each stretch, less where few detections carry it."""
    zero = np.zeros((1, *grid.score.shape[1:]))
    total = np.concatenate([zero, np.cumsum(grid.score, 0)])
    seen = np.concatenate([zero[..., 0], np.cumsum(grid.seen, 0)])
    mean = (total[last + 1, who, label] - total[first, who, label]) / (last - first + 1)
    count = seen[last + 1, who] - seen[first, who]
    return np.asarray(mean * count / (count + 1))


def _sound(box: Floats) -> Floats:
    """Boxes whose sides are not below 0, as a smoothed one's can be."""
    return np.concatenate(
        [np.minimum(box[:, :2], box[:, 2:]), np.maximum(box[:, :2], box[:, 2:])], 1
    )


def activity_segments(
    score: Floats, seconds: Floats, present: Mask, min_score: float, switch: float
) -> Mask:
    """Which classes are on at which keyframes of which tracks, [T, n, c].

    score [T, n, c]; seconds [T, n] that each keyframe stands for; present [T, n]: where anything
    can be on; switch: seconds of full score that a start and an end cost together.
    """
    inside = present[..., None]
    peak = np.where(inside, score, 0.0).max(0, initial=0.0)  # [n, c]
    gain = (score - np.maximum(PEAK * peak, min_score)) * seconds[..., None]
    on = best_path(np.where(inside, gain, -np.inf), switch * peak / 2)
    return np.asarray(on & (peak >= min_score))


def best_path(gain: Floats, cost: Floats) -> Mask:
    """The on/off paths of most gain: gain [T, ...] of being on, cost [...] of each change.

    Off before the first step and after the last. Of equal paths, one that changes early.
    """
    stay_on, stay_off = np.ones(gain.shape, bool), np.ones(gain.shape, bool)
    on, off = np.full(gain.shape[1:], -np.inf), np.zeros(gain.shape[1:])
    for t in range(len(gain)):
        begin, end = off - cost, on - cost
        stay_on[t], stay_off[t] = on >= begin, off >= end
        on, off = np.maximum(on, begin) + gain[t], np.maximum(off, end)
    path = np.zeros(gain.shape, bool)
    state = on - cost > off
    for t in range(len(gain) - 1, -1, -1):
        path[t] = state
        state = np.where(state, stay_on[t], ~stay_off[t])
    return path


def smooth(
    values: Floats, time: Floats, length: NDArray[np.intp], width: float, line: bool
) -> Floats:
    """Local means of values [T, n, d] at times [T, n] s, `width` the Gaussian's in seconds.

    Only the first `length` [n] steps of each column count. `line` fits a line instead, which
    follows what moves evenly, at the ends too.
    """
    reach = _reach_in_steps(time, length, width)
    if not reach:
        return values
    inside = np.arange(len(values))[:, None] < length
    s0, s1, s2 = (np.zeros(time.shape) for _ in range(3))
    v0, v1 = np.zeros_like(values), np.zeros_like(values)
    for step in range(-reach, reach + 1):
        to = slice(max(-step, 0), len(values) - max(step, 0))
        of = slice(max(step, 0), len(values) - max(-step, 0))
        away = (time[of] - time[to]) / width
        weight = np.exp(-0.5 * away * away) * inside[of]
        s0[to] += weight
        v0[to] += weight[..., None] * values[of]
        if line:
            s1[to] += weight * away
            s2[to] += weight * away * away
            v1[to] += (weight * away)[..., None] * values[of]
    if not line:
        return v0 / np.maximum(s0, 1e-12)[..., None]
    spread = s0 * s2 - s1 * s1
    sure = spread > 1e-6 * np.maximum(s0, 1e-12) ** 2  # a line needs two times
    fit = (s2[..., None] * v0 - s1[..., None] * v1) / np.where(sure, spread, 1.0)[..., None]
    return np.asarray(np.where((sure & inside)[..., None], fit, values))


def _reach_in_steps(time: Floats, length: NDArray[np.intp], width: float) -> int:
    """How many steps to each side can weigh anything; 0 where all neighbours are too far."""
    gaps = np.diff(time, axis=0)[np.arange(len(time) - 1)[:, None] < length - 1]
    gaps = gaps[gaps > 0]
    if not width or not len(gaps) or gaps.min() > REACH * width:
        return 0
    return min(int(REACH * width / np.median(gaps)) + 1, len(time) - 1)


@dataclass(frozen=True)
class Seen:
    """The people of one video's keyframes, p of them, after merging, in the order of frames."""

    time: Floats  # [f]  seconds of the keyframes looked at, growing
    frame: Rows  # [p]  growing
    box: Floats  # [p, 4]
    score: Floats  # [p, c]  0 where a class was not scored
    track: NDArray[np.int32]  # [p]


@dataclass(frozen=True)
class Grid:
    """n tracks of like length, side by side; beyond a track's length is nothing."""

    track: NDArray[np.int32]  # [n]
    length: Rows  # [n]  keyframes from first to last sight
    frame: Rows  # [T, n]  keyframe, the last one repeated beyond the end
    time: Floats  # [T, n]
    box: Floats  # [T, n, 4]  straight lines between sights
    score: Floats  # [T, n, c]  likewise; 0 beyond the end
    seen: NDArray[np.bool_]  # [T, n]  not interpolated
    unseen: Floats  # [T, n]  seconds between the sights before and after; 0 where seen
    missed: Rows  # [T, n]  keyframes between these sights; 0 where seen


def grids(seen: Seen, hole: float) -> Iterator[Grid]:
    """All tracks, those of like length together, so that little is wasted on padding.

    Where keyframes are more than `hole` seconds apart, a track goes on as another row.
    """
    piece = np.append(0, np.cumsum(np.diff(seen.time) > hole))[seen.frame]
    order = np.lexsort((seen.frame, piece, seen.track))
    whole = seen.track.astype(np.int64) * (int(piece.max(initial=0)) + 1) + piece
    _, start = np.unique(whole[order], return_index=True)
    track = seen.track[order[start]]
    ends = np.append(start[1:], len(order)) - 1
    length = seen.frame[order[ends]] - seen.frame[order[start]] + 1
    size = np.ceil(np.log2(length)).astype(np.intp)
    for kind in np.unique(size).tolist():
        here = np.flatnonzero(size == kind)
        yield _grid(seen, order, track[here], start[here], ends[here], length[here])


def _grid(
    seen: Seen, order: Rows, track: NDArray[np.int32], start: Rows, ends: Rows, length: Rows
) -> Grid:
    steps = np.minimum(np.arange(int(length.max()))[:, None], length - 1)
    frame = seen.frame[order[start]] + steps  # [T, n]
    before = _last_sight(seen.frame[order], start, ends, frame)
    after = np.minimum(before + (seen.frame[order[before]] < frame), ends)
    a, b = order[before], order[after]
    time = seen.time[frame]
    span = seen.time[seen.frame[b]] - seen.time[seen.frame[a]]
    gone = time - seen.time[seen.frame[a]]
    share = np.divide(gone, span, out=np.zeros_like(span), where=span > 0)[..., None]
    inside = np.arange(len(frame))[:, None] < length
    return Grid(
        track=track,
        length=length,
        frame=frame,
        time=time,
        box=seen.box[a] * (1 - share) + seen.box[b] * share,
        score=(seen.score[a] * (1 - share) + seen.score[b] * share) * inside[..., None],
        seen=(seen.frame[a] == frame) & inside,
        unseen=span * (seen.frame[a] < frame),
        missed=(seen.frame[b] - seen.frame[a] - 1) * (seen.frame[a] < frame),
    )


def _last_sight(frames: Rows, start: Rows, ends: Rows, wanted: Rows) -> Rows:
    """The place [T, n] of each track's last sight at or before the wanted frames [T, n].

    frames: of the sights, track by track, track i from start[i] to ends[i].
    """
    far = int(frames.max()) + 1
    key = np.repeat(np.arange(len(start)), ends - start + 1) * far
    places = np.concatenate([np.arange(s, e + 1) for s, e in zip(start, ends, strict=True)])
    at = np.searchsorted(key + frames[places], wanted + np.arange(len(start)) * far, "right") - 1
    return places[at]
