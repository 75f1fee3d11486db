"""Which tubelets may follow which: those of one chain that overlap enough where both are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stadkit.link.overlap import Sides, summed_iou
from stadkit.link.runs import Ints, spread


@dataclass(frozen=True)
class Near:
    """Tubelets by chain, and how much they must overlap to follow each other."""

    chain: Ints  # [n]
    box: Sides  # [4, k, n]
    min_iou: float  # the mean over the frames that both have
    edge: float

    def pairs(self, last: Ints, offset: Ints, here: Ints) -> tuple[Ints, Ints]:
        """Pairs (place in `last` [m], tubelet of `here`), by place, tubelets in their order.

        The tubelets `here`, by chain, start `offset` [m] frames after those of `last`.
        """
        there, mine = self.chain[here], self.chain[last]
        start = np.searchsorted(there, mine, "left")
        i, j = spread(start, np.searchsorted(there, mine, "right") - start)
        j = here[j]
        total, shared = summed_iou(self.box, last[i], j, offset[i], self.min_iou, self.edge)
        enough = total >= self.min_iou * shared
        return i[enough], j[enough]
