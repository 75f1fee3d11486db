"""Box operations on float arrays [n, 4]: x1 y1 x2 y2, x2 > x1 and y2 > y1, any single unit.

No `+ 1` anywhere: a box from 0 to 1 is one unit wide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def area(box: Array) -> Array:
    """Return the areas [n] of boxes [n, 4]; an inverted box has area 0."""
    side = np.maximum(box[..., 2:] - box[..., :2], 0)
    return np.asarray(side[..., 0] * side[..., 1])


def intersection(a: Array, b: Array) -> Array:
    """Return the intersection areas [n, m] of boxes a [n, 4] and b [m, 4]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    side = np.maximum(high - low, 0)
    return np.asarray(side[..., 0] * side[..., 1])


def iou(a: Array, b: Array) -> Array:
    """Return the IoU [n, m] of boxes a [n, 4] and b [m, 4]; 0 where the union is empty."""
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def giou(a: Array, b: Array) -> Array:
    """Generalised IoU [n, m], -1..1 (Rezatofighi et al. 2019): IoU - empty fraction of the hull."""
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    low = np.minimum(a[:, None, :2], b[None, :, :2])
    high = np.maximum(a[:, None, 2:], b[None, :, 2:])
    hull = np.prod(np.maximum(high - low, 0), axis=-1)
    overlap = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    empty = np.divide(hull - union, hull, out=np.zeros_like(hull), where=hull > 0)
    return np.asarray(overlap - empty)


def nms(box: Array, score: Array, max_iou: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: return the kept indices, best first.

    A box is dropped when its IoU with a better kept box exceeds `max_iou`; ties keep the order
    of the rows.
    """
    order = np.argsort(-score, kind="stable")
    overlap = iou(box[order], box[order]) > max_iou
    alive = np.ones(len(order), bool)
    for i in range(len(order)):
        if alive[i]:
            alive[i + 1 :] &= ~overlap[i, i + 1 :]
    return order[alive]


def clip(box: Array, width: float = 1.0, height: float = 1.0) -> Array:
    """Clip boxes [n, 4] to 0..width and 0..height; a box fully outside becomes empty."""
    high = np.array([width, height, width, height], box.dtype)
    return np.asarray(np.clip(box, 0, high))


def scale(box: Array, width: float, height: float) -> Array:
    """Multiply x of boxes [n, 4] by `width` and y by `height`."""
    return np.asarray(box * np.array([width, height, width, height], box.dtype))


def enlarge(box: Array, by: float) -> Array:
    """Enlarge boxes [n, 4] about their centres; `by` 0.4 makes sides 1.4 times as long."""
    pad = by * (box[:, 2:] - box[:, :2]) / 2
    return np.concatenate([box[:, :2] - pad, box[:, 2:] + pad], 1)
