"""Stable order, whatever the width of the numbers."""

import numpy as np
import pytest

from stadkit.link.order import stable_order


@pytest.mark.parametrize("far", [0, 40_000, 70_000, 2**40, -1, -20_000, -40_000])
def test_equal_numbers_keep_their_order(far: int) -> None:
    numbers = np.array([3, far, 1, 3, far, 0, 1], np.int64)
    want = sorted(range(7), key=lambda row: (numbers[row], row))
    assert stable_order(numbers).tolist() == want
    assert stable_order(numbers[:0]).tolist() == []
