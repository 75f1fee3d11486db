"""Taking in turn: each one takes what it likes best of what is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.link.runs import Ints, first_of_each


def take_in_turn(taker: Ints, thing: Ints) -> NDArray[np.intp]:
    """Which pairs [p] come about when takers, from the lowest number up, each take one thing.

    Pairs are those that may come about, by taker, and for each taker the thing it likes best
    first. A taker takes the first of its things that no earlier taker took, or none.
    Returns the places of the pairs, by taker.
    """
    alive = np.arange(len(taker))
    holder = np.zeros(int(thing.max(initial=-1)) + 1, np.int64)
    while True:
        # All ask for their first choice at once; who asks for a thing that an earlier one asks
        # for never gets it, as the earlier one can only lose it to one still earlier
        # (Gale and Shapley 1962). The same ends as taking one after the other, in few rounds.
        first = alive[first_of_each(taker[alive])]
        holder[thing] = len(taker) and taker[-1]
        holder[thing[first[::-1]]] = taker[first[::-1]]  # of equal places the last one stays
        kept = taker[alive] <= holder[thing[alive]]
        if kept.all():
            return first
        alive = alive[kept]
