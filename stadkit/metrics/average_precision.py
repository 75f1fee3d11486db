"""Average precision: the area under the precision envelope over all recalls (VOC 2010 on)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ranked(
    label: NDArray[np.int32], score: NDArray[np.float64], classes: int
) -> list[NDArray[np.intp]]:
    """The rows of each class, best score first, equal scores in the order of the rows.

    Rows with a label outside 0..classes - 1 are in none.
    """
    if not classes:
        return []
    by_class = _stable_order(label)
    edges = np.searchsorted(label[by_class], np.arange(classes + 1))
    parts = np.split(by_class, edges)[1:-1]
    return [rows[np.argsort(-score[rows], kind="stable")] for rows in parts]


def _stable_order(label: NDArray[np.int32]) -> NDArray[np.intp]:
    # NumPy sorts 16 bits by counting, several times faster.
    small = len(label) == 0 or (label.min() >= -(2**15) and label.max() < 2**15)
    return np.argsort(label.astype(np.int16) if small else label, kind="stable")


def average_precision(right: NDArray[np.bool_], truths: int) -> float:
    """AP of detections that are right or not, best first; NaN without truth."""
    if not truths:
        return float("nan")
    at = np.flatnonzero(right)
    precision = np.arange(1, len(at) + 1) / (at + 1)
    # Between two right ones precision only falls, so that these places hold the envelope.
    envelope = np.maximum.accumulate(precision[::-1])
    return float(envelope.sum() / truths)
