"""Runs of rows against numbers worked by hand."""

import numpy as np

from stadkit.arrays import expand_ranges, join_equal, run_starts


def test_expand_ranges_skips_empty_ranges() -> None:
    i, j = expand_ranges(np.array([4, 0, 7]), np.array([2, 0, 1]))
    assert i.tolist() == [0, 0, 2]
    assert j.tolist() == [4, 5, 7]


def test_run_starts() -> None:
    assert run_starts(np.array([3, 3, 1, 3])).tolist() == [True, False, True, True]
    assert run_starts(np.zeros(0)).tolist() == []


def test_join_equal_keeps_the_order_of_partners() -> None:
    i, j = join_equal(np.array([5, 9, 5]), np.array([5, 7, 5]))
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 0), (0, 2), (2, 0), (2, 2)]
