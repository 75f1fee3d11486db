"""Timestamps to ascending seconds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.video.timestamps import MAX_GAP, Clock


def run(stamps: list[int | None], start: int | None = 0, tick: float = 0.01) -> list[float]:
    clock = Clock(start, tick, period=0.1)
    return [round(clock.seconds(stamp), 6) for stamp in stamps]


def test_seconds_count_from_the_stream_start() -> None:
    assert run([500, 510, 535], start=500) == [0.0, 0.1, 0.35]
    assert run([520, 530], start=500) == [0.2, 0.3]


def test_a_wrong_stream_start_is_ignored() -> None:
    assert run([-40, -30], start=0) == [0.0, 0.1]
    assert run([10**9, 10**9 + 10], start=0) == [0.0, 0.1]
    assert run([70, 80], start=None) == [0.0, 0.1]


def test_frames_without_timestamps_are_one_period_apart() -> None:
    assert run([None, None, None]) == [0.0, 0.1, 0.2]
    assert run([0, None, 20]) == [0.0, 0.1, 0.2]
    assert run([None, 700, 710], start=None) == [0.0, 0.1, 0.2]


def test_a_slightly_earlier_timestamp_is_treated_as_missing() -> None:
    assert run([0, 20, 10, 40]) == [0.0, 0.2, 0.3, 0.4]


def test_a_jump_back_restarts_the_clock() -> None:
    assert run([0, 300, 0, 10]) == [0.0, 3.0, 3.1, 3.2]


def test_a_pause_is_kept_and_an_absurd_jump_is_not() -> None:
    assert run([0, 12_000]) == [0.0, 120.0]  # 1/120 frames per second
    assert run([0, round((MAX_GAP + 1) * 100)]) == [0.0, 0.1]


def test_the_start_is_in_the_containers_time() -> None:
    clock = Clock(500, 0.01, 0.1)
    clock.seconds(520)
    assert clock.start == pytest.approx(5.0)


@given(
    st.lists(st.none() | st.integers(-(2**62), 2**62), min_size=1),
    st.none() | st.integers(-(2**62), 2**62),
)
def test_times_always_ascend_from_0(stamps: list[int | None], start: int | None) -> None:
    clock = Clock(start, 1 / 90_000, 0.04)
    times = [clock.seconds(stamp) for stamp in stamps]
    assert 0 <= times[0] <= MAX_GAP
    gaps = [b - a for a, b in pairwise(times)]
    assert all(0 < gap <= MAX_GAP for gap in gaps)
