"""One row a person and keyframe: boxes that tell of the same one are put together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit import boxes
from stadkit.link.kalman import Floats
from stadkit.link.runs import by_frame

Rows = NDArray[np.intp]


def merge(frame: Rows, box: Floats, rank: Floats, chain: Rows, max_iou: float) -> Rows:
    """The row [n] that stands for each row: itself, or a better one of its frame it overlaps.

    Rows are sorted by frame. As in non-maximum suppression, rows of a chain first, then best
    `rank` first, earlier rows where it is equal; a row goes to the best of those kept that
    overlap it by more. Two of different chains [n] stay two, -1: of none.
    """
    keeper = np.arange(len(frame))
    for rows in by_frame(frame):
        if len(rows) > 1:
            near = boxes.iou(box[rows], box[rows]) > max_iou
            near &= _may_be_one(chain[rows])
            np.fill_diagonal(near, False)
            if near.any():
                order = np.lexsort((-rank[rows], chain[rows] < 0))  # what is given goes first
                keeper[rows] = rows[_keepers(near, order)]
    return keeper


def _may_be_one(chain: Rows) -> NDArray[np.bool_]:
    """Which pairs [n, n] are not of two different chains."""
    one, other = chain[:, None], chain[None]
    return np.asarray((one < 0) | (other < 0) | (one == other))


def _keepers(near: NDArray[np.bool_], order: Rows) -> Rows:
    """The row that stands for each, taken in this order."""
    keeper = np.full(len(order), -1, np.intp)
    for row in order.tolist():
        if keeper[row] < 0:
            keeper[near[row] & (keeper < 0)] = row
            keeper[row] = row
    return keeper
