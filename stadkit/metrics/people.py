"""People out of rows a class: each box of a frame once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.instances import Instances
from stadkit.metrics.matching import Ints, frames_of


def people(table: Instances) -> tuple[Instances, NDArray[np.intp]]:
    """A row a box and frame, all of one class "person", with its best score; and the row it was.

    Of equal scores the first row. Rows with a score of NaN are left out, those without a class
    are not. Two people of one frame with the very same box are one.
    """
    unknown = np.isnan(table.score)
    # Mostly all have a score, and then a copy of a large table is spared.
    scored = np.flatnonzero(~unknown) if unknown.any() else slice(None)
    (frame,) = frames_of(table)
    person = same_box(frame[scored], table.box[scored])
    rows = _best_rows(person, table.score[scored])
    rows = rows if isinstance(scored, slice) else scored[rows]
    alone = replace(table.select(rows), label=np.zeros(len(rows), np.int32), classes=("person",))
    return alone, rows


def same_box(frame: Ints, box: NDArray[np.float64]) -> NDArray[np.intp]:
    """A number [n], 0 on, for each row: equal where frame [n] and box [n, 4] are equal."""
    columns = (frame, *box.T)
    # Rows of a box mostly follow each other: sorting the first of each run is enough.
    start = changes(columns)
    firsts = np.flatnonzero(start)
    heads = [column[firsts] for column in columns]
    order = np.lexsort(heads[::-1])
    number = np.empty(len(order), np.intp)
    number[order] = np.cumsum(changes([head[order] for head in heads])) - 1
    return np.asarray(number[np.cumsum(start) - 1])


def changes(columns: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Which rows [n] differ from the row before in any of the columns; the first does."""
    start = np.ones(len(columns[0]), bool)
    start[1:] = False
    for column in columns:
        start[1:] |= column[1:] != column[:-1]
    return start


def _best_rows(group: NDArray[np.intp], score: NDArray[np.float64]) -> NDArray[np.intp]:
    """The row with the best score of each group, the first of equals, in the order of rows."""
    best = np.full(int(group.max(initial=-1)) + 1, -np.inf)
    starts = np.flatnonzero(changes([group]))
    if len(starts):
        np.maximum.at(best, group[starts], np.maximum.reduceat(score, starts))
    rows = np.flatnonzero(score == best[group])[::-1]
    first = np.empty(len(best), np.intp)
    first[group[rows]] = rows  # where places are equal, the last written stays
    return np.sort(first)
