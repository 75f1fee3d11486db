"""Temporal label assignment: each person found takes the labels of one neighbour's person."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stadkit.tla.cost import Bools, Floats, costs
from stadkit.tla.options import Options
from stadkit.tla.ragged import Ints, pairs, starts


def assign_labels(
    score: Floats,
    box: Floats,
    start: Ints,
    label: Bools,
    true_box: Floats,
    true_start: Ints,
    options: Options,
) -> tuple[Ints, Floats]:
    """ME-STAD Algorithm 1, of many frames at once: (person taken [n], its cost [n]).

    Scores [n, c] and boxes [n, 4] of people found (line 1), labels [m, c] and boxes [m, 4] of
    the nearest former and later keyframe together (line 2); start and true_start [f + 1] say
    which rows are a frame's. -1 and NaN where a box is background: all are in a frame without
    neighbours, none in a frame of no more boxes than people.
    """
    row, other = pairs(start, true_start)
    cost, background = costs(score, box, label, true_box, row, other, options)
    chosen = assign(cost, background, np.diff(start), np.diff(true_start), options.background)
    taken, paid = np.full(len(box), -1, np.intp), np.full(len(box), np.nan)
    taken[row[chosen]], paid[row[chosen]] = other[chosen], cost[chosen]
    return taken, paid


def assign(cost: Floats, background: Floats, n: Ints, m: Ints, rule: str) -> Ints:
    """ME-STAD Eq. 7 for each frame: which of the pairs [p] are matched, growing.

    cost [p] holds frame after frame of n [f] x m [f], row by row; background [sum of n] is what
    each row costs as one of the n - m background objects, 0 for all by the rule "free".
    """
    chosen = list(_matches(cost, background, n, m, rule))
    return np.concatenate(chosen) if chosen else np.zeros(0, np.intp)


def _matches(cost: Floats, background: Floats, n: Ints, m: Ints, rule: str) -> Iterator[Ints]:
    from scipy.optimize import linear_sum_assignment

    first, begin = starts(n)[:-1], starts(n * m)[:-1]
    some = np.flatnonzero((n > 0) & (m > 0))
    listed = (part[some].tolist() for part in (n, m, first, begin))
    for rows, columns, at, base in zip(*listed, strict=True):
        block = cost[base : base + rows * columns].reshape(rows, columns)
        if rows > columns and rule == "paper":
            # Square, so that the rows left over pay; the columns past the last are background.
            block = _with_background(block, background[at : at + rows])
            row, column = linear_sum_assignment(block)
            row, column = row[column < columns], column[column < columns]
        else:
            row, column = linear_sum_assignment(block)
        yield base + row * columns + column


def _with_background(block: Floats, background: Floats) -> Floats:
    n, m = block.shape
    square = np.empty((n, n))
    square[:, :m] = block
    square[:, m:] = background[:, None]
    return square
