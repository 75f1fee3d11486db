"""Activity segments by hand, and against all possible paths."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.linking.segments import activity_segments, best_path


def path(gain: list[float], cost: float) -> list[int]:
    return best_path(np.array(gain), np.array(cost)).astype(int).tolist()


def on(
    score: list[float],
    seconds: float = 1.0,
    min_score: float = 0.05,
    switch: float = 0.0,
    gone: tuple[int, ...] = (),
) -> list[int]:
    """Segment one class of one track; `gone`: keyframes where nothing can be on."""
    steps = len(score)
    present = ~np.isin(np.arange(steps), gone)[:, None]
    whole = np.array(score).reshape(steps, 1, 1)
    got = activity_segments(whole, np.full((steps, 1), seconds), present, min_score, switch)
    return got[:, 0, 0].astype(int).tolist()


def test_a_segment_must_gain_more_than_two_switches() -> None:
    assert path([-1, 1, 1, -1], cost=0.9) == [0, 1, 1, 0]
    assert path([-1, 1, 1, -1], cost=1.1) == [0, 0, 0, 0]
    # At the ends of the track too.
    assert path([1], cost=0.4) == [1]
    assert path([1], cost=0.6) == [0]


def test_a_dip_cheaper_than_two_switches_is_bridged() -> None:
    assert path([3, -1, 3], cost=0.6) == [1, 1, 1]
    assert path([3, -1, 3], cost=0.4) == [1, 0, 1]
    assert path([-1, 3, -1], cost=0.0) == [0, 1, 0]


def test_ties_prefer_early_switches() -> None:
    assert path([0, 2], cost=0.5) == [1, 1]
    assert path([2, 0], cost=0.5) == [1, 0]
    assert path([2, 0, -1], cost=0.5) == [1, 0, 0]
    assert path([1], cost=0.5) == [0]  # nothing earned: nothing done
    assert path([0, 0], cost=0.0) == [0, 0]


def test_an_absent_keyframe_splits_a_segment() -> None:
    assert path([3, -np.inf, 3], cost=1.0) == [1, 0, 1]
    assert path([3, -np.inf, 3], cost=2.0) == [0, 0, 0]
    assert path([-np.inf], cost=0.0) == [0]


def test_no_steps() -> None:
    assert best_path(np.zeros((0, 2)), np.ones(2)).shape == (0, 2)


quarters = st.integers(-8, 8).map(lambda n: n / 4)


@given(st.lists(quarters, min_size=1, max_size=7), st.integers(0, 8).map(lambda n: n / 4))
def test_equals_the_best_of_all_paths(gain: list[float], cost: float) -> None:
    def earned(steps: tuple[int, ...]) -> float:
        changes = np.abs(np.diff([0, *steps, 0])).sum()
        return float(np.dot(steps, gain) - cost * changes)

    best = max(earned(steps) for steps in itertools.product((0, 1), repeat=len(gain)))
    assert earned(tuple(path(gain, cost))) == best


def test_a_class_is_on_above_half_its_peak() -> None:
    assert on([0.45, 0.55, 1.0, 0.55, 0.45]) == [0, 1, 1, 1, 0]
    assert on([0.18, 0.22, 0.4, 0.22, 0.18]) == [0, 1, 1, 1, 0]


def test_a_class_is_on_above_min_score() -> None:
    assert on([0.25, 0.35, 0.5], min_score=0.3) == [0, 1, 1]
    assert on([0.25, 0.29, 0.25], min_score=0.3) == [0, 0, 0]


def test_a_switch_costs_seconds_of_the_peak_score() -> None:
    # Beside the best of .8 a dip to .2 loses .4 - .2, in .04 s .008; two changes cost .8 * switch.
    dip = [0.8] * 5 + [0.2] + [0.8] * 5
    assert on(dip, seconds=0.04, switch=0.011) == [1] * 11
    assert on(dip, seconds=0.04, switch=0.009) == [1] * 5 + [0] + [1] * 5
    # A second earns the more, the longer it stands for.
    assert on(dip, seconds=0.08, switch=0.011) == [1] * 5 + [0] + [1] * 5


def test_absent_keyframes_do_not_set_the_peak() -> None:
    assert on([0.4, 1.0, 0.4], gone=(1,)) == [1, 0, 1]
    assert on([0.4, 1.0, 0.4], gone=(0, 1, 2)) == [0, 0, 0]


def test_each_track_and_class_has_its_own_peak() -> None:
    # Two steps of two tracks and two classes.
    score = np.array([[[0.9, 0.09], [0.09, 0.3]], [[0.3, 0.2], [0.2, 0.2]]])
    got = activity_segments(score, np.ones((2, 2)), np.ones((2, 2), bool), 0.05, 0.0)
    assert got.tolist() == [[[True, False], [False, True]], [[False, True], [True, True]]]
    assert got.dtype == bool


def test_uneven_time_steps() -> None:
    # The middle lasts .1 s and loses .02; two changes cost .05 * .8.
    seconds = np.array([[1.0], [0.1], [1.0]])
    score = np.array([0.8, 0.2, 0.8]).reshape(3, 1, 1)
    present = np.ones((3, 1), bool)
    assert activity_segments(score, seconds, present, 0.05, 0.05)[:, 0, 0].tolist() == [
        True,
        True,
        True,
    ]
    seconds[1] = 0.3
    assert activity_segments(score, seconds, present, 0.05, 0.05)[:, 0, 0].tolist() == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("steps", [0, 1])
def test_short_tracks(steps: int) -> None:
    got = activity_segments(
        np.ones((steps, 1, 1)), np.ones((steps, 1)), np.ones((steps, 1), bool), 0.05, 0.05
    )
    assert got.tolist() == [[[True]]] * steps
