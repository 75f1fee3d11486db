"""Elementwise IoU of boxes stored as coordinate planes [4, ...], and soft NMS.

The reference implementations differ by a pixel: ACT and MOC count the pixel that contains x2 and
y2 as inside the box (`edge` 1), MultiSports and mmaction2 do not (`edge` 0).

Soft NMS follows ACT, MOC and mmaction2: a suppressed box keeps a fraction of its score.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Ints, run_starts, stable_order

Sides = NDArray[np.floating[Any]]


def sides(box: Sides) -> Sides:
    """Transpose boxes [n, ..., 4] to coordinate planes x1 y1 x2 y2 [4, ..., n]."""
    return np.ascontiguousarray(box.T)


def areas(box: Sides, edge: float) -> Sides:
    """Areas [...] of boxes [4, ...]."""
    return np.asarray((box[2] - box[0] + edge) * (box[3] - box[1] + edge))


def iou_of_pairs(a: Sides, b: Sides, edge: float) -> Sides:
    """Elementwise IoU [...] of boxes a and b [4, ...]; 0 where the union is empty."""
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
    """IoU sums [p] of tubelets i with tubelets j that start `offset` [p] frames later.

    `box` is [4, k, n]. IoU is summed over the common frames; at an offset of k, without common
    frames, i's last box is compared with j's first. Also returns the number of summed frames [p].
    The sum of a pair whose mean cannot reach `min_iou` may be too low.
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
        # IoU is at most 1; the tolerance covers rounding.
        active = (left > step + 1) & (so_far + (left - (step + 1)) >= least - 1e-9)
        i, j, offset, alive = i[active], j[active], offset[active], alive[active]
        left, least = left[active], least[active]
    return total, shared


def best_first(cell: Ints, score: NDArray[np.float64]) -> Ints:
    """Rows [n] sorted by cell, then by descending score; ties are in REVERSE row order.

    The reference implementations sort in ascending order and reverse the result.
    """
    order = np.argsort(score, kind="stable")[::-1]
    return order[stable_order(cell[order])]


def soft_nms(
    cell: Ints, score: NDArray[np.float64], box: Sides, max_iou: float, edge: float
) -> NDArray[np.float64]:
    """Scores [n] after soft NMS within each cell (a class in a frame); `box` is [4, k, n].

    The best row of a cell suppresses rows whose mean IoU over the k frames exceeds `max_iou`,
    then the best remaining row does. A suppressed score is multiplied by 1 - the SUM of the k
    IoUs, as in the reference implementations: this can be negative when k is above 1.
    """
    weight = np.ones(len(score))
    left = best_first(cell, score)
    while len(left):
        heads = run_starts(cell[left])
        best = left[heads][np.cumsum(heads) - 1][~heads]
        rest = left[~heads]
        shared, _ = summed_iou(box, best, rest, np.zeros_like(rest), max_iou, edge)
        suppressed = shared > max_iou * box.shape[1]
        weight[rest[suppressed]] = 1 - shared[suppressed]
        left = rest[~suppressed]
    return score * weight
