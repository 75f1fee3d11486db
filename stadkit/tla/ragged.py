"""Rows that belong to frames: `start` [f + 1] says where those of each frame begin and end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]


def spans(first: Ints, count: Ints) -> Ints:
    """first, first + 1, ... `count` of them, for each of [k], one after the other."""
    before = np.cumsum(count) - count
    total = int(count.sum())
    return np.asarray(np.arange(total) + np.repeat(first - before, count), np.intp)


def starts(count: Ints) -> Ints:
    """Counts [f] -> where each frame's rows begin, and the end of the last, [f + 1]."""
    return np.concatenate([np.zeros(1, np.intp), np.cumsum(count)])


def owners(start: Ints) -> Ints:
    """The frame [n] of each row."""
    return np.repeat(np.arange(len(start) - 1), np.diff(start))


def pairs(start: Ints, other: Ints) -> tuple[Ints, Ints]:
    """(row, other row) [p] of every pair within a frame: a frame's N x M matrix, row by row."""
    rivals = np.diff(other)[owners(start)]  # [n]
    row = np.repeat(np.arange(len(rivals)), rivals)
    return row, spans(other[:-1][owners(start)], rivals)
