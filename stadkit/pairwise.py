"""IoU of boxes held as sides [4, ...], pair by pair, and soft non-maximum suppression.

IoU of boxes held as sides [4, ...], pair by pair.

References differ by a pixel: ACT and MOC count the pixel that x2 and y2 lie in as inside the
box (`edge` 1), MultiSports and mmaction2 do not (`edge` 0).

Soft NMS as ACT, MOC and mmaction2 do it: what is suppressed keeps a share of its score.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Ints, run_starts, stable_order

Sides = NDArray[np.floating[Any]]


def sides(box: Sides) -> Sides:
    """Boxes [n, ..., 4] -> x1 y1 x2 y2 [4, ..., n]."""
    return np.ascontiguousarray(box.T)


def areas(box: Sides, edge: float) -> Sides:
    """Areas [...] of boxes [4, ...]."""
    return np.asarray((box[2] - box[0] + edge) * (box[3] - box[1] + edge))


def iou_of_pairs(a: Sides, b: Sides, edge: float) -> Sides:
    """IoU [...] of boxes a and b [4, ...], place by place; 0 where the union is empty."""
    wide = np.minimum(a[2], b[2])
    wide -= np.maximum(a[0], b[0])
    high = np.minimum(a[3], b[3])
    high -= np.maximum(a[1], b[1])
    if edge:
        wide += edge
        high += edge
    shared = np.maximum(wide, 0, out=wide)
    shared *= np.maximum(high, 0, out=high)
    union = areas(a, edge)
    union += areas(b, edge)
    union -= shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def summed_iou(
    box: Sides, i: Ints, j: Ints, offset: Ints, min_iou: float, edge: float
) -> tuple[NDArray[np.float64], Ints]:
    """IoU [p] of tubelets i with tubelets j that start `offset` [p] frames later, summed.

    `box` is [4, k, n]. Summed over the frames that both have; at an offset of k, where there is
    none, i's last box meets j's first. The second result [p] is how many were summed. The sum of
    a pair whose mean cannot reach `min_iou` may be lower than is true.
    """
    k, n = box.shape[1:]
    flat = box.reshape(4, k * n)
    shared = np.maximum(k - offset, 1)
    total, alive, left, least = np.zeros(len(i)), np.arange(len(i)), shared, min_iou * shared
    steps = int(shared.max(initial=0))
    for step in range(steps):
        mine = flat.take(np.minimum(offset + step, k - 1) * n + i, 1)
        so_far = total[alive] + iou_of_pairs(mine, flat.take(step * n + j, 1), edge)
        total[alive] = so_far
        if step + 1 == steps:
            break
        # An IoU is 1 at most; the slack is for rounding.
        go_on = (left > step + 1) & (so_far + (left - (step + 1)) >= least - 1e-9)
        i, j, offset, alive = i[go_on], j[go_on], offset[go_on], alive[go_on]
        left, least = left[go_on], least[go_on]
    return total, shared


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
        heads = run_starts(cell[left])
        best = left[heads][np.cumsum(heads) - 1][~heads]
        rest = left[~heads]
        shared, _ = summed_iou(box, best, rest, np.zeros_like(rest), max_iou, edge)
        gone = shared > max_iou * box.shape[1]
        weight[rest[gone]] = 1 - shared[gone]
        left = rest[~gone]
    return score * weight
