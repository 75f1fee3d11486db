"""Each person found does what the neighbour does whom the box overlaps most."""

from __future__ import annotations

import numpy as np

from stadkit.tla.block import Block
from stadkit.tla.cost import iou
from stadkit.tla.given import Given, from_pool
from stadkit.tla.ragged import owners, pairs


def by_overlap(block: Block) -> Given:
    """Labels of the pool's box of largest IoU, above 0; of equals the nearer in time, then left.

    Several boxes may take the labels of one person.
    """
    row, other = pairs(block.found.start, block.pool_start)
    overlap = iou(block.found.box[row], block.truth.box[block.pool[other]])
    away = block.truth_time[block.pool] - block.time[owners(block.pool_start)]
    order = np.lexsort((np.abs(away)[other], -overlap, row))
    best = order[np.unique(row[order], return_index=True)[1]]
    best = best[overlap[best] > 0]
    taken = np.full(len(block.found.box), -1, np.intp)
    taken[row[best]] = other[best]
    return from_pool(block, taken, np.full(len(taken), np.nan))
