"""Non-maximum suppression of whole tubes, as ACT and MOC do before they count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.link.runs import Ints, first_of_each
from stadkit.link.soft_nms import best_first
from stadkit.metrics.tube_overlap import Tracks, tube_overlap


def tube_nms(
    tracks: Tracks, group: Ints, score: NDArray[np.float64], max_overlap: float, edge: float
) -> NDArray[np.bool_]:
    """Which tubes [n] stay: in each group, those that no better one overlaps by more.

    Only tubes that stay suppress others. Of equal scores the last row is the better one.
    """
    kept = np.zeros(len(group), bool)
    left = best_first(group, score)
    while len(left):
        heads = first_of_each(group[left])
        kept[left[heads]] = True
        best = left[heads][np.cumsum(heads) - 1][~heads]
        left = left[~heads]
        left = left[tube_overlap(tracks, tracks, best, left, edge) <= max_overlap]
    return kept
