"""Arrays of rows that belong together: runs, groups, stable orders, pairs.

A run is a stretch of rows of one video, frame or track. `start` [f + 1] says where the rows of each
frame begin and end.
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
    """All (i, j) with start[i] <= j < start[i] + count[i], in that order: two columns [p]."""
    before = np.cumsum(count) - count
    i = np.repeat(np.arange(len(count)), count)
    return i, np.arange(len(i)) + np.repeat(start - before, count)


def run_starts(group: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a new number begins in `group` [n], whose equal numbers follow each other."""
    new = np.ones(len(group), bool)
    new[1:] = group[1:] != group[:-1]
    return new


def join_equal(one: Ints, other: Ints) -> tuple[Ints, Ints]:
    """All pairs (row of one [n], row of other [m]) of equal numbers, by row, partners in order."""
    order = np.argsort(other, kind="stable")
    start = np.searchsorted(other[order], one, "left")
    i, j = expand_ranges(start, np.searchsorted(other[order], one, "right") - start)
    return i, order[j]


def rows_by_frame(frame: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """The rows of each frame that has any; frames [n] in order."""
    if len(frame):
        cuts = (np.flatnonzero(np.diff(frame)) + 1).tolist()
        for start, end in pairwise([0, *cuts, len(frame)]):
            yield np.arange(start, end)


def stable_order(numbers: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """The rows [n] from the smallest number up; equal numbers keep their order."""
    return np.argsort(_small(numbers), kind="stable")


def stable_order_of_floats(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The rows [n] from the smallest value up, NaN last; equal values keep their order."""
    # NumPy's unstable sort is several times faster than its stable one, on whole numbers too.
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


def _small(numbers: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    # NumPy sorts 16 bits by counting, several times faster.
    low, high = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    for dtype in (np.uint16, np.int16):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return numbers.astype(dtype)
    return numbers


def greedy_match(taker: Ints, thing: Ints) -> NDArray[np.intp]:
    """Which pairs [p] come about when takers, from the lowest number up, each take one thing.

    Pairs are those that may come about, by taker, and for each taker the thing it likes best
    first. A taker takes the first of its things that no earlier taker took, or none.
    Returns the places of the pairs, by taker.
    """
    alive = np.arange(len(taker))
    holder = np.zeros(int(thing.max(initial=-1)) + 1, np.int64)
    while True:
        # All ask for their first choice at once; who asks for a thing that an earlier one asks
        # for never gets it, as the earlier one can only lose it to one still earlier
        # (Gale and Shapley 1962). The same ends as taking one after the other, in few rounds.
        first = alive[run_starts(taker[alive])]
        holder[thing] = len(taker) and taker[-1]
        holder[thing[first[::-1]]] = taker[first[::-1]]  # of equal places the last one stays
        kept = taker[alive] <= holder[thing[alive]]
        if kept.all():
            return first
        alive = alive[kept]


def offsets(count: Rows) -> Rows:
    """Counts [f] -> where each frame's rows begin, and the end of the last, [f + 1]."""
    return np.concatenate([np.zeros(1, np.intp), np.cumsum(count)])


def frame_of_rows(start: Rows) -> Rows:
    """The frame [n] of each row."""
    return np.repeat(np.arange(len(start) - 1), np.diff(start))


def pairs_within_frames(start: Rows, other: Rows) -> tuple[Rows, Rows]:
    """(row, other row) [p] of every pair within a frame: a frame's N x M matrix, row by row."""
    rivals = np.diff(other)[frame_of_rows(start)]  # [n]
    row = np.repeat(np.arange(len(rivals)), rivals)
    return row, expand_ranges(other[:-1][frame_of_rows(start)], rivals)[1]
