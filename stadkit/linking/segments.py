"""Tracks and their action scores -> tubes: each action of a person from its start to its end.

Tracks are interpolated at every keyframe from first to last observation, and boxes and scores are
smoothed over time. A two-state (on/off) Viterbi path per track and class then gives the segments:
an "on" keyframe gains its score above the threshold, times its duration; each switch has a cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Rows
from stadkit.linking.association import Floats
from stadkit.linking.options import LinkOptions
from stadkit.tubes import Tubes

# A tube may always bridge two missed keyframes, and never more than seven: at 25 a second, longer
# runs of misses of a visible person do not occur.
MIN_BRIDGED, MAX_BRIDGED = 2, 7
MAX_MIN_BRIDGE_SECONDS = 10.0  # limit on the time that two missed keyframes may span
Mask = NDArray[np.bool_]
PEAK_FRACTION = 0.5  # a class is on where its score exceeds this fraction of its peak on the track
KERNEL_RADIUS = 3.0  # of the Gaussian, in standard deviations


def extract_tubes(
    grid: Grid, video: str, classes: tuple[str, ...], interval: float, missed: int, o: LinkOptions
) -> Tubes:
    """Extract the tubes of these tracks.

    interval: duration in seconds of an isolated keyframe; missed: the longest gap, in keyframes,
    that counts as missed detections rather than an absence.
    """
    box = smooth(grid.box, grid.time, grid.length, o.smooth, line=True)
    soft = smooth(grid.score, grid.time, grid.length, o.smooth_scores, line=False)
    seconds = _seconds(grid, interval)
    # Actions during a long gap are unknown: the track continues, but a tube does not.
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
        box=_ordered_corners(box[step, n]),
        box_score=grid.score[step, n, label[tube]],
        interpolated=~grid.seen[step, n],
        classes=classes,
    )


def longest_gap(seconds: float, interval: float) -> float:
    """Return the longest gap in seconds that a tube may bridge, with keyframes `interval` apart."""
    fewest = min((MIN_BRIDGED + 1) * interval, MAX_MIN_BRIDGE_SECONDS)
    return max(min(seconds, (MAX_BRIDGED + 1) * interval), fewest) + 1e-6


def _inside(grid: Grid) -> NDArray[np.bool_]:
    """Mark the steps [T, n] within their track."""
    return np.asarray(np.arange(len(grid.frame))[:, None] < grid.length)


def _seconds(grid: Grid, interval: float) -> Floats:
    """Return the duration [T, n] of each keyframe: half the gap to each neighbour.

    At the ends of a track, the gap to the only neighbour counts for both sides.
    """
    gaps = np.diff(grid.time, axis=0)
    if not len(gaps):
        return np.full(grid.time.shape, interval)
    ahead = np.concatenate([gaps, gaps[-1:]])
    behind = np.concatenate([gaps[:1], gaps])
    ahead, behind = np.where(ahead > 0, ahead, behind), np.where(behind > 0, behind, ahead)
    both = (ahead + behind) / 2
    return np.asarray(np.where(both > 0, both, interval))


def _runs(on: NDArray[np.bool_]) -> tuple[Rows, Rows, Rows, Rows]:
    """Return (track, class, first step, last step) of each segment, by track, class and time."""
    path = np.moveaxis(on, 0, -1)  # [n, c, T]
    edge = np.zeros((*path.shape[:2], 1), bool)
    change = np.diff(np.concatenate([edge, path, edge], -1).astype(np.int8), axis=-1)
    who, label, first = np.nonzero(change == 1)
    last = np.nonzero(change == -1)[2] - 1
    return who, label, first, last


def _steps_of_tubes(first: Rows, last: Rows) -> tuple[Rows, Rows]:
    """Return the tube and the step of every box."""
    length = last - first + 1
    tube = np.repeat(np.arange(len(first)), length)
    return tube, np.arange(len(tube)) - np.repeat(np.cumsum(length) - length - first, length)


def _scores(grid: Grid, who: Rows, label: Rows, first: Rows, last: Rows) -> Floats:
    """Return the mean score of each segment, reduced where few detections support it."""
    zero = np.zeros((1, *grid.score.shape[1:]))
    total = np.concatenate([zero, np.cumsum(grid.score, 0)])
    seen = np.concatenate([zero[..., 0], np.cumsum(grid.seen, 0)])
    mean = (total[last + 1, who, label] - total[first, who, label]) / (last - first + 1)
    count = seen[last + 1, who] - seen[first, who]
    return np.asarray(mean * count / (count + 1))


def _ordered_corners(box: Floats) -> Floats:
    """Swap inverted corners, which smoothing can produce."""
    return np.concatenate(
        [np.minimum(box[:, :2], box[:, 2:]), np.maximum(box[:, :2], box[:, 2:])], 1
    )


def activity_segments(
    score: Floats, seconds: Floats, present: Mask, min_score: float, switch: float
) -> Mask:
    """Mark the active classes at each keyframe of each track, [T, n, c].

    score [T, n, c]; seconds [T, n]: duration of each keyframe; present [T, n]: where a class can
    be on; switch: cost of a start and an end together, in seconds of full score.
    """
    inside = present[..., None]
    peak = np.where(inside, score, 0.0).max(0, initial=0.0)  # [n, c]
    gain = (score - np.maximum(PEAK_FRACTION * peak, min_score)) * seconds[..., None]
    on = best_path(np.where(inside, gain, -np.inf), switch * peak / 2)
    return np.asarray(on & (peak >= min_score))


def best_path(gain: Floats, cost: Floats) -> Mask:
    """Return the on/off paths of highest gain: gain [T, ...] of being on, cost [...] per switch.

    Off before the first step and after the last. Ties prefer early switches.
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
    """Smooth values [T, n, d] at times [T, n] s by a Gaussian kernel of `width` seconds.

    Only the first `length` [n] steps of each column count. `line` fits local lines instead of
    means, which follows constant motion without lag, also at the ends.
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
    """Return the kernel radius in steps; 0 where all neighbours are too far."""
    gaps = np.diff(time, axis=0)[np.arange(len(time) - 1)[:, None] < length - 1]
    gaps = gaps[gaps > 0]
    if not width or not len(gaps) or gaps.min() > KERNEL_RADIUS * width:
        return 0
    return min(int(KERNEL_RADIUS * width / np.median(gaps)) + 1, len(time) - 1)


@dataclass(frozen=True)
class TrackedPeople:
    """p tracked people of one video's keyframes, after merging, sorted by frame."""

    time: Floats  # [f]  seconds of the processed keyframes, ascending
    frame: Rows  # [p]  ascending
    box: Floats  # [p, 4]
    score: Floats  # [p, c]  0 where a class was not scored
    track: NDArray[np.int32]  # [p]


@dataclass(frozen=True)
class Grid:
    """n tracks of similar length as padded columns; steps beyond a track's length are padding."""

    track: NDArray[np.int32]  # [n]
    length: Rows  # [n]  keyframes from first to last observation
    frame: Rows  # [T, n]  keyframe; the last one is repeated in the padding
    time: Floats  # [T, n]
    box: Floats  # [T, n, 4]  linear between observations
    score: Floats  # [T, n, c]  linear between observations; 0 in the padding
    seen: NDArray[np.bool_]  # [T, n]  not interpolated
    unseen: Floats  # [T, n]  seconds between the observations around it; 0 where seen
    missed: Rows  # [T, n]  keyframes between these observations; 0 where seen


def grids(seen: TrackedPeople, split_gap: float) -> Iterator[Grid]:
    """Yield all tracks, batched by similar length to limit padding.

    Where keyframes are more than `split_gap` seconds apart, a track is split into two columns.
    """
    piece = np.append(0, np.cumsum(np.diff(seen.time) > split_gap))[seen.frame]
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
    seen: TrackedPeople,
    order: Rows,
    track: NDArray[np.int32],
    start: Rows,
    ends: Rows,
    length: Rows,
) -> Grid:
    steps = np.minimum(np.arange(int(length.max()))[:, None], length - 1)
    frame = seen.frame[order[start]] + steps  # [T, n]
    before = _last_observation(seen.frame[order], start, ends, frame)
    after = np.minimum(before + (seen.frame[order[before]] < frame), ends)
    a, b = order[before], order[after]
    time = seen.time[frame]
    span = seen.time[seen.frame[b]] - seen.time[seen.frame[a]]
    elapsed = time - seen.time[seen.frame[a]]
    share = np.divide(elapsed, span, out=np.zeros_like(span), where=span > 0)[..., None]
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


def _last_observation(frames: Rows, start: Rows, ends: Rows, wanted: Rows) -> Rows:
    """Return the index [T, n] of each track's last observation up to the wanted frames [T, n].

    frames: of the observations, track by track, track i from start[i] to ends[i].
    """
    stride = int(frames.max()) + 1
    key = np.repeat(np.arange(len(start)), ends - start + 1) * stride
    indices = np.concatenate([np.arange(s, e + 1) for s, e in zip(start, ends, strict=True)])
    at = (
        np.searchsorted(key + frames[indices], wanted + np.arange(len(start)) * stride, "right") - 1
    )
    return indices[at]
