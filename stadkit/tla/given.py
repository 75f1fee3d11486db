"""Labels that a strategy gives in one block of frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stadkit.tla.block import Block
from stadkit.tla.cost import Bools, Floats
from stadkit.tla.ragged import Ints, owners


@dataclass(frozen=True)
class Given:
    """People with labels, by frame."""

    frame: Ints  # [r]  of the block
    found: Ints  # [r]  of the block's people found; -1: none of them
    person: Ints  # [r]  row of the block's truth; -1: labelled from scores
    box: Floats  # [r, 4]
    action: Bools  # [r, c]
    cost: Floats  # [r]  NaN: nothing was assigned


def from_pool(block: Block, taken: Ints, cost: Floats) -> Given:
    """Each person found [n] with the labels of one of the pool; none where `taken` is -1."""
    found = np.flatnonzero(taken >= 0)
    person = block.pool[taken[found]]
    return Given(
        owners(block.found.start)[found],
        found,
        person,
        block.found.box[found],
        block.truth.score[person] > 0.5,
        cost[found],
    )


def from_scores(block: Block, action: Bools) -> Given:
    """Each person found with the classes of action [n, c]; who has none is left out."""
    found = np.flatnonzero(action.any(1))
    return Given(
        owners(block.found.start)[found],
        found,
        np.full(len(found), -1, np.intp),
        block.found.box[found],
        action[found],
        np.full(len(found), np.nan),
    )
