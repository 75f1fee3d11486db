"""Soft NMS as ACT, MOC and mmaction2 do it: what is suppressed keeps a share of its score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.link.order import stable_order
from stadkit.link.overlap import Sides, summed_iou
from stadkit.link.runs import Ints, first_of_each


def best_first(cell: Ints, score: NDArray[np.float64]) -> Ints:
    """Rows [n] by cell, in a cell the best score first, and of equal scores the LAST row first.

    The references sort upwards and turn the result round.
    """
    order = np.argsort(score, kind="stable")[::-1]
    return order[stable_order(cell[order])]


def soft_nms(
    cell: Ints, score: NDArray[np.float64], box: Sides, max_iou: float, edge: float
) -> NDArray[np.float64]:
    """Scores [n] after suppression in each cell: a class in a frame; `box` is [4, k, n].

    The best of a cell suppresses those that overlap it by more than `max_iou`, the mean over the
    k frames, then the best of the rest does. A suppressed row's score is weighted by
    1 - the SUM of the k IoUs, as in the references: below 0 when k is above 1.
    """
    weight = np.ones(len(score))
    left = best_first(cell, score)
    while len(left):
        heads = first_of_each(cell[left])
        best = left[heads][np.cumsum(heads) - 1][~heads]
        rest = left[~heads]
        shared, _ = summed_iou(box, best, rest, np.zeros_like(rest), max_iou, edge)
        gone = shared > max_iou * box.shape[1]
        weight[rest[gone]] = 1 - shared[gone]
        left = rest[~gone]
    return score * weight
