"""Tracks and what is done on them -> tubes, one action each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.link.kalman import Floats
from stadkit.link.options import Options
from stadkit.link.smooth import smooth
from stadkit.link.stretches import active
from stadkit.link.tracks import Grid
from stadkit.tubes import Tubes

Rows = NDArray[np.intp]
# A tube goes on over missed keyframes for as long as two, and no longer than seven: at 25 a second
# nobody who is there is missed so often in a row.
FEWEST, MOST = 2, 7
FARTHEST = 10.0  # seconds that two missed keyframes may take


def cut_tubes(
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
    on = active(soft, seconds, present, o.min_score, o.switch)
    who, label, first, last = _runs(on)
    tube, step = _steps(first, last)
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


def _steps(first: Rows, last: Rows) -> tuple[Rows, Rows]:
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
