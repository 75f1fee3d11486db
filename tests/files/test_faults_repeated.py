"""Rows that repeat an earlier row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stadkit.files.faults import repeated
from stadkit.instances import Instances

Row = tuple[int, int, int, int]  # video, second, box, label


def claims(rows: list[Row]) -> Instances:
    columns = np.array(rows, np.int64).reshape(-1, 4)
    sides = np.array([[0, 0, 0.5, 0.5], [-0.0, 0, 0.5, 0.25], [0.1, 0, 0.5, 0.5]])
    return Instances(
        videos=("a", "b"),
        video=columns[:, 0].astype(np.int32),
        time=columns[:, 1].astype(np.float64),
        box=sides[columns[:, 2]],
        label=columns[:, 3].astype(np.int32),
        score=np.linspace(0, 1, len(columns)),
        classes=("stand", "walk"),
    )


def test_the_first_of_each_is_not_repeated() -> None:
    rows = [(0, 1, 0, 1), (0, 1, 0, 0), (0, 1, 0, 1), (1, 1, 0, 1), (0, 2, 0, 1), (0, 1, 0, 1)]
    assert repeated(claims(rows)).tolist() == [2, 5]
    assert repeated(claims(rows[:2])).tolist() == repeated(claims([])).tolist() == []


def test_minus_zero_is_zero_and_no_class_is_not_one() -> None:
    twice = claims([(0, 1, 1, 0), (0, 1, 1, 0)])
    box = twice.box.copy()
    box[0, 0] = 0.0
    assert repeated(replace(twice, box=box)).tolist() == [1]
    assert repeated(claims([(0, 1, 1, -1), (0, 1, 1, -1)])).tolist() == []


ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 2), st.integers(-1, 1)),
    max_size=30,
)


@given(ROWS)
def test_equals_a_plain_loop(rows: list[Row]) -> None:
    seen: set[Row] = set()
    expected = []
    for i, row in enumerate(rows):
        if row in seen:
            expected.append(i)
        if row[3] >= 0:
            seen.add(row)
    assert repeated(claims(rows)).tolist() == expected
