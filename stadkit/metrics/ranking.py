"""In which order rows claim truth, and in which they are ranked: equal scores as in the reference.

An evaluator goes from frame to frame, and through the rows of each from the best score down (or
as they lie in the file): so they claim truth. Then it sorts all rows of a class by score, with
NumPy's default sort, which moves equal scores about: how far hangs on where they stood before,
on NumPy's version and on the processor. Here the same rows go into the same sort in the same
order, so that they come out as the reference's do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Ints, Rows, run_starts, stable_order, stable_order_of_floats
from stadkit.instances import Instances
from stadkit.metrics.counting import Counted
from stadkit.metrics.protocols import Protocol


@dataclass(frozen=True)
class Orders:
    """The counted rows of each class, in two orders."""

    claims: list[Rows]  # who claims truth first
    ranking: list[Rows]  # best first


def orders(found: Instances, truth: Instances, rows: Counted, rules: Protocol) -> Orders:
    """Both orders of the counted rows of `found`."""
    as_met = by_class(np.where(rows.found, found.label, -1), len(found.classes))
    if rules.ties == "sort":
        ranking = [of_class[np.argsort(-found.score[of_class])] for of_class in as_met]
        return Orders(ranking, ranking)
    if rules.frames == "truth":
        frame = frame_places(rows.found_frame, rows.truth_frame[truth.label >= 0])
    else:
        frame = frame_places(rows.found_frame, rows.found_frame[found.label >= 0])
    claims = [_in_turn(of_class, found.score, frame, rows.held, rules) for of_class in as_met]
    score = found.score.astype(np.float32) if rules.float32 else found.score
    return Orders(claims, [of_class[np.argsort(score[of_class])[::-1]] for of_class in claims])


def by_class(label: NDArray[np.int32], classes: int) -> list[Rows]:
    """The rows of each class in their order; those outside 0..classes - 1 are in none."""
    if not classes:
        return []
    order = stable_order(label)
    return np.split(order, np.searchsorted(label[order], np.arange(classes + 1)))[1:-1]


def frame_places(frame: Ints, met: Ints) -> Ints:
    """The place of each row's frame [n] among those of `met` [m], by their first rows; or -1."""
    heads = met[run_starts(met)]
    number, first = np.unique(heads, return_index=True)
    if not len(number):
        return np.full(len(frame), -1, np.int64)
    place = np.empty(len(number), np.int64)
    place[np.argsort(first)] = np.arange(len(number))
    start = run_starts(frame)
    at = np.searchsorted(number, frame[start])
    at[at == len(number)] = 0
    known = np.where(number[at] == frame[start], place[at], -1)
    return np.asarray(known[np.cumsum(start) - 1])


def _in_turn(
    rows: Rows, score: NDArray[np.float64], frame: Ints, held: Ints | None, rules: Protocol
) -> Rows:
    """The rows of a class in the order in which they claim truth."""
    if rules.order == "score":
        if rules.ties == "last":
            rows = rows[::-1]
        elif held is not None:
            rows = rows[stable_order(held[rows])]
        rows = rows[stable_order_of_floats(-score[rows])]
    return rows[stable_order(frame[rows])]
