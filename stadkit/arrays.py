"""Operations on grouped rows: runs, ranges, stable sorts, joins and pairs.

A run is a contiguous block of rows of one video, frame or track. `start` [f + 1] holds the row
offsets of each frame: frame i has rows start[i]:start[i + 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Rows = NDArray[np.intp]


def expand_ranges(start: NDArray[Any], count: NDArray[Any]) -> tuple[Ints, Ints]:
    """Return all (i, j) with start[i] <= j < start[i] + count[i], by i then j: two arrays [p]."""
    before = np.cumsum(count) - count
    i = np.repeat(np.arange(len(count)), count)
    return i, np.arange(len(i)) + np.repeat(start - before, count)


def run_starts(group: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the first row of each run in `group` [n], where equal numbers are adjacent."""
    new = np.ones(len(group), bool)
    new[1:] = group[1:] != group[:-1]
    return new


def join_equal(one: Ints, other: Ints) -> tuple[Ints, Ints]:
    """Return all pairs (row of one [n], row of other [m]) of equal numbers, sorted by both rows."""
    order = np.argsort(other, kind="stable")
    start = np.searchsorted(other[order], one, "left")
    i, j = expand_ranges(start, np.searchsorted(other[order], one, "right") - start)
    return i, order[j]


def rows_by_frame(frame: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each non-empty frame; `frame` [n] is sorted."""
    if len(frame):
        cuts = (np.flatnonzero(np.diff(frame)) + 1).tolist()
        for start, end in pairwise([0, *cuts, len(frame)]):
            yield np.arange(start, end)


def stable_order(numbers: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Return the indices [n] that sort integers ascending; ties keep their order."""
    return np.argsort(_narrowed(numbers), kind="stable")


def stable_order_of_floats(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices [n] that sort floats ascending, NaN last; ties keep their order."""
    # NumPy's unstable sort is several times faster than its stable one, for integers too.
    order = np.argsort(values).astype(np.int64, copy=False)
    ordered = values[order]
    new = (ordered[1:] != ordered[:-1]) & ~np.isnan(ordered[:-1])
    if new.all():
        return order
    run = np.zeros(len(order), np.int64)
    np.cumsum(new, out=run[1:])
    run *= len(order)
    order += run
    order.sort()
    order -= run
    return order


def _narrowed(numbers: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    # NumPy uses a radix sort for 16-bit integers, which is several times faster.
    low, high = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    for dtype in (np.uint16, np.int16):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return numbers.astype(dtype)
    return numbers


def greedy_match(taker: Ints, thing: Ints) -> NDArray[np.intp]:
    """Match takers to things greedily: each taker, in ascending order, gets at most one thing.

    (taker [p], thing [p]) are the allowed pairs, sorted by taker, then by the taker's preference.
    A taker gets its most preferred thing that no earlier taker got, or none.
    Returns the indices of the matched pairs, by taker.
    """
    alive = np.arange(len(taker))
    holder = np.zeros(int(thing.max(initial=-1)) + 1, np.int64)
    while True:
        # All takers propose to their first choice at once. A proposal that an earlier taker
        # outbids can be dropped: the earlier one can only lose the thing to one earlier still
        # (Gale and Shapley 1962). Same result as matching one by one, in few rounds.
        first = alive[run_starts(taker[alive])]
        holder[thing] = len(taker) and taker[-1]
        holder[thing[first[::-1]]] = taker[first[::-1]]  # the last write to an index wins
        kept = taker[alive] <= holder[thing[alive]]
        if kept.all():
            return first
        alive = alive[kept]


def offsets(count: Rows) -> Rows:
    """Return row offsets [f + 1] from the row counts [f] of the frames."""
    return np.concatenate([np.zeros(1, np.intp), np.cumsum(count)])


def frame_of_rows(start: Rows) -> Rows:
    """Return the frame [n] of each row."""
    return np.repeat(np.arange(len(start) - 1), np.diff(start))


def pairs_within_frames(start: Rows, other: Rows) -> tuple[Rows, Rows]:
    """Return all (row, other row) [p] within a frame: each frame's N x M matrix in row order."""
    rivals = np.diff(other)[frame_of_rows(start)]  # [n]
    row = np.repeat(np.arange(len(rivals)), rivals)
    return row, expand_ranges(other[:-1][frame_of_rows(start)], rivals)[1]
