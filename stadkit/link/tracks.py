"""Tracks on the grid of keyframes: a box and scores at every one from first to last sight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.link.kalman import Floats

Rows = NDArray[np.intp]


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
