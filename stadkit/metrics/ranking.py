"""Average precision, and the order of rows that it depends on, with ties as in the reference.

AP is the area under the precision-recall curve, either under the precision envelope over all
recalls (VOC 2010 on), or by the trapezoidal rule in float32, as ACT and MOC compute it.

An evaluator visits frame by frame, and the rows of each by descending score (or in file order) to
claim truth. Then it sorts all rows of a class by score with NumPy's default, unstable sort: the
order of ties depends on the input order, the NumPy version and the processor. Here the same rows
enter the same sort in the same order, which reproduces the reference's ties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Ints, Rows, run_starts, stable_order, stable_order_of_floats
from stadkit.instances import Instances
from stadkit.metrics.counting import Counted, Protocol


def average_precision(right: NDArray[np.bool_], truths: int) -> float:
    """AP under the precision envelope; `right` is best first; NaN without truth."""
    if not truths:
        return float("nan")
    at = np.flatnonzero(right)
    precision = np.arange(1, len(at) + 1) / (at + 1)
    # Precision only falls between right detections, so these indices hold the envelope.
    envelope = np.maximum.accumulate(precision[::-1])
    return float(envelope.sum() / truths)


def known_mean(values: NDArray[np.float64]) -> float:
    """Mean of the non-NaN values, as evaluators average over classes; NaN without any."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def trapezoid_precision(right: NDArray[np.bool_], truths: int) -> float:
    """AP by the trapezoidal rule; `right` is best first; NaN without truth.

    (recall, precision) points are joined by straight lines from precision 1 at recall 0, without
    an envelope; the area ends at the last detection.
    """
    if not truths:
        return float("nan")
    hits = np.cumsum(right)
    precision = np.append(1, hits / np.arange(1, len(right) + 1)).astype(np.float32)
    recall = np.append(0, hits / truths).astype(np.float32)
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) * np.float32(0.5)))


@dataclass(frozen=True)
class Orders:
    """The counted rows of each class, in two orders."""

    claims: list[Rows]  # in the order of claiming truth
    ranking: list[Rows]  # best first


def orders(found: Instances, truth: Instances, rows: Counted, rules: Protocol) -> Orders:
    """Compute both orders of the counted rows of `found`."""
    in_file_order = by_class(np.where(rows.found, found.label, -1), len(found.classes))
    if rules.ties == "sort":
        ranking = [of_class[np.argsort(-found.score[of_class])] for of_class in in_file_order]
        return Orders(ranking, ranking)
    if rules.frames == "truth":
        frame = frame_places(rows.found_frame, rows.truth_frame[truth.label >= 0])
    else:
        frame = frame_places(rows.found_frame, rows.found_frame[found.label >= 0])
    claims = [
        _claim_order(of_class, found.score, frame, rows.heap_index, rules)
        for of_class in in_file_order
    ]
    score = found.score.astype(np.float32) if rules.float32 else found.score
    return Orders(claims, [of_class[np.argsort(score[of_class])[::-1]] for of_class in claims])


def by_class(label: NDArray[np.int32], classes: int) -> list[Rows]:
    """Return the rows of each class in order; labels outside 0..classes - 1 are dropped."""
    if not classes:
        return []
    order = stable_order(label)
    return np.split(order, np.searchsorted(label[order], np.arange(classes + 1)))[1:-1]


def frame_places(frame: Ints, met: Ints) -> Ints:
    """Rank each row's frame [n] by its first row in `met` [m]; -1: not in `met`."""
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


def _claim_order(
    rows: Rows, score: NDArray[np.float64], frame: Ints, heap_index: Ints | None, rules: Protocol
) -> Rows:
    """Sort the rows of a class in the order of claiming truth."""
    if rules.order == "score":
        if rules.ties == "last":
            rows = rows[::-1]
        elif heap_index is not None:
            rows = rows[stable_order(heap_index[rows])]
        rows = rows[stable_order_of_floats(-score[rows])]
    return rows[stable_order(frame[rows])]
