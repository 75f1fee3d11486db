"""Taking in turn, against hand-worked cases and one taker after the other."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stadkit.arrays import greedy_match

Wishes = list[list[int]]  # of each taker, the things it would take, best first


def taken(wishes: Wishes) -> list[tuple[int, int]]:
    pairs = [(taker, thing) for taker, things in enumerate(wishes) for thing in things]
    taker, thing = np.array(pairs, np.int64).reshape(-1, 2).T
    chosen = greedy_match(taker, thing)
    return [pairs[place] for place in chosen.tolist()]


def test_the_first_taker_takes_what_both_like_best() -> None:
    assert taken([[0, 1], [0, 1], [0, 1]]) == [(0, 0), (1, 1)]


def test_who_loses_its_second_choice_to_an_earlier_one_goes_on() -> None:
    # 0 takes a, 1 then takes b, 2 likes b best and gets c.
    assert taken([[0], [0, 1], [1, 2]]) == [(0, 0), (1, 1), (2, 2)]


def test_nothing_to_take() -> None:
    assert taken([]) == []


@given(st.lists(st.lists(st.integers(0, 5), unique=True), max_size=8))
def test_as_one_after_the_other(wishes: Wishes) -> None:
    free, expected = set(range(6)), []
    for taker, things in enumerate(wishes):
        left = [thing for thing in things if thing in free]
        if left:
            expected.append((taker, left[0]))
            free.remove(left[0])
    assert taken(wishes) == expected
