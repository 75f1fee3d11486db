"""Reduce instances to people: one row per unique box of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.instances import Instances
from stadkit.metrics.matching import Ints, frames_of


def people(table: Instances) -> tuple[Instances, NDArray[np.intp]]:
    """Keep the best-scored row of each box and frame, as class "person"; also return its index.

    Ties take the first row. Rows with NaN scores are dropped, rows without a class are kept. Two
    people of one frame with exactly the same box count as one.
    """
    unknown = np.isnan(table.score)
    # Usually all rows have a score; this avoids copying a large table.
    scored = np.flatnonzero(~unknown) if unknown.any() else slice(None)
    (frame,) = frames_of(table)
    person = same_box(frame[scored], table.box[scored])
    rows = _best_rows(person, table.score[scored])
    rows = rows if isinstance(scored, slice) else scored[rows]
    reduced = replace(table.select(rows), label=np.zeros(len(rows), np.int32), classes=("person",))
    return reduced, rows


def same_box(frame: Ints, box: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number the rows [n] from 0: equal for equal frame [n] and box [n, 4]."""
    columns = (frame, *box.T)
    # Rows of a box are mostly adjacent: only the first of each run is sorted.
    start = changes(columns)
    firsts = np.flatnonzero(start)
    heads = [column[firsts] for column in columns]
    order = np.lexsort(heads[::-1])
    number = np.empty(len(order), np.intp)
    number[order] = np.cumsum(changes([head[order] for head in heads])) - 1
    return np.asarray(number[np.cumsum(start) - 1])


def changes(columns: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Mark the rows [n] that differ from the previous row in any column, and the first row."""
    start = np.ones(len(columns[0]), bool)
    start[1:] = False
    for column in columns:
        start[1:] |= column[1:] != column[:-1]
    return start


def _best_rows(group: NDArray[np.intp], score: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the best-scored row of each group, sorted; ties take the first row."""
    best = np.full(int(group.max(initial=-1)) + 1, -np.inf)
    starts = np.flatnonzero(changes([group]))
    if len(starts):
        np.maximum.at(best, group[starts], np.maximum.reduceat(score, starts))
    rows = np.flatnonzero(score == best[group])[::-1]
    first = np.empty(len(best), np.intp)
    first[group[rows]] = rows  # the last write to an index wins
    return np.sort(first)
