"""Greedy matching, against hand-worked cases and a sequential loop."""

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


def test_the_first_taker_wins_a_common_first_choice() -> None:
    assert taken([[0, 1], [0, 1], [0, 1]]) == [(0, 0), (1, 1)]


def test_a_taker_falls_back_after_losing_its_second_choice() -> None:
    # 0 takes a, 1 then takes b, 2 likes b best and gets c.
    assert taken([[0], [0, 1], [1, 2]]) == [(0, 0), (1, 1), (2, 2)]


def test_no_pairs() -> None:
    assert taken([]) == []


@given(st.lists(st.lists(st.integers(0, 5), unique=True), max_size=8))
def test_equals_sequential_matching(wishes: Wishes) -> None:
    free, expected = set(range(6)), []
    for taker, things in enumerate(wishes):
        left = [thing for thing in things if thing in free]
        if left:
            expected.append((taker, left[0]))
            free.remove(left[0])
    assert taken(wishes) == expected
