"""Runs of rows that follow each other, all at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def spread(start: NDArray[Any], count: NDArray[Any]) -> tuple[Ints, Ints]:
    """All (i, j) with start[i] <= j < start[i] + count[i], in that order: two columns [p]."""
    before = np.cumsum(count) - count
    i = np.repeat(np.arange(len(count)), count)
    return i, np.arange(len(i)) + np.repeat(start - before, count)


def first_of_each(group: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a new number begins in `group` [n], whose equal numbers follow each other."""
    new = np.ones(len(group), bool)
    new[1:] = group[1:] != group[:-1]
    return new


def same_group(one: Ints, other: Ints) -> tuple[Ints, Ints]:
    """All pairs (row of one [n], row of other [m]) of equal numbers, by row, partners in order."""
    order = np.argsort(other, kind="stable")
    start = np.searchsorted(other[order], one, "left")
    i, j = spread(start, np.searchsorted(other[order], one, "right") - start)
    return i, order[j]


def by_frame(frame: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """The rows of each frame that has any; frames [n] in order."""
    if len(frame):
        cuts = (np.flatnonzero(np.diff(frame)) + 1).tolist()
        for start, end in pairwise([0, *cuts, len(frame)]):
            yield np.arange(start, end)
