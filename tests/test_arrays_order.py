"""Stable sorting of integers of any width and of floats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.arrays import stable_order, stable_order_of_floats


@pytest.mark.parametrize("far", [0, 40_000, 70_000, 2**40, -1, -20_000, -40_000])
def test_equal_numbers_keep_their_order(far: int) -> None:
    numbers = np.array([3, far, 1, 3, far, 0, 1], np.int64)
    want = sorted(range(7), key=lambda row: (numbers[row], row))
    assert stable_order(numbers).tolist() == want
    assert stable_order(numbers[:0]).tolist() == []


@given(st.lists(st.sampled_from([0.0, -0.0, 0.5, -1.5, np.inf, -np.inf, np.nan]) | st.floats()))
def test_equal_floats_keep_their_order(values: list[float]) -> None:
    column = np.array(values, np.float64)
    want = np.argsort(column, kind="stable")
    assert stable_order_of_floats(column).tolist() == want.tolist()


def test_many_equal_floats_keep_their_order() -> None:
    column = np.round(np.random.default_rng(0).random(50_000), 3)
    assert (stable_order_of_floats(column) == np.argsort(column, kind="stable")).all()
