"""Boxes between keyframes: matching of people, and interpolation."""

from __future__ import annotations

import numpy as np
import pytest

from stadkit.detections import Detections
from stadkit.video.follow import InterpolatedPeople, match

LEFT, RIGHT = (0.1, 0.2, 0.3, 0.8), (0.6, 0.2, 0.8, 0.8)


def table(*rows: tuple[float, tuple[float, float, float, float], int]) -> Detections:
    """Rows of (time, box, track)."""
    n = len(rows)
    return Detections(
        video=np.array(["v"] * n, np.str_),
        time=np.array([row[0] for row in rows], np.float64),
        box=np.array([row[1] for row in rows], np.float32).reshape(n, 4),
        person=np.ones(n, np.float32),
        action=np.zeros((n, 1), np.float32),
        track=np.array([row[2] for row in rows], np.int32),
        classes=("walk",),
    )


def moved(box: tuple[float, float, float, float], by: float) -> tuple[float, float, float, float]:
    return box[0] + by, box[1], box[2] + by, box[3]


def test_a_box_moves_along_its_person() -> None:
    motion = InterpolatedPeople(table((0, LEFT, -1), (1, moved(LEFT, 0.1), -1)))
    for time, by in ((0.0, 0.0), (0.25, 0.025), (0.5, 0.05), (1.0, 0.1)):
        shown = motion.at(time)
        np.testing.assert_allclose(shown.box, [moved(LEFT, by)], atol=1e-6)
    assert [motion.at(t).row.tolist() for t in (0.0, 0.49, 0.51, 1.0)] == [[0], [0], [1], [1]]
    assert motion.person.tolist() == [0, 0]


def test_people_are_matched_jointly() -> None:
    # IoU .5 and 0 for row 0, .6 and .45 for row 1: greedy matching would leave row 0 unmatched.
    at = [moved((0.0, 0.0, 0.2, 1.0), x) for x in (0.1333, 0.25, 0.2, 0.326)]
    rows = table((0, at[0], -1), (0, at[1], -1), (1, at[2], -1), (1, at[3], -1))
    assert match(rows, np.array([0, 1]), np.array([2, 3])) == {0: 2, 1: 3}


def test_tracks_identify_people() -> None:
    crossed = table((0, LEFT, 4), (0, RIGHT, 7), (1, LEFT, 7), (1, RIGHT, 4))
    motion = InterpolatedPeople(crossed)
    np.testing.assert_allclose(motion.at(0.5).box[0], np.add(LEFT, RIGHT) / 2, atol=1e-6)
    assert motion.person.tolist() == [0, 1, 1, 0]


def test_different_tracks_are_never_one_person() -> None:
    motion = InterpolatedPeople(table((0, LEFT, 4), (1, LEFT, 5)))
    assert motion.person.tolist() == [0, 1]


def test_a_track_that_comes_back_keeps_its_number() -> None:
    motion = InterpolatedPeople(table((0, LEFT, 4), (1, RIGHT, 5), (2, LEFT, 4)))
    assert motion.person.tolist() == [0, 1, 0]
    assert len(motion.at(1.0).row) == 1


def test_an_unmatched_person_stays_half_an_interval() -> None:
    motion = InterpolatedPeople(table((0, LEFT, -1), (1, RIGHT, -1)))
    seen = [motion.at(t).row.tolist() for t in (0.0, 0.45, 0.55, 1.0, 1.45, 1.55)]
    assert seen == [[0], [0], [1], [1], [1], []]


def test_one_keyframe_or_none() -> None:
    motion = InterpolatedPeople(table((2.0, LEFT, -1)))
    assert [len(motion.at(t).row) for t in (0.0, 1.4, 1.6, 2.0, 2.4, 2.6)] == [0, 0, 1, 1, 1, 0]
    empty = InterpolatedPeople(table())
    assert empty.at(1.0).box.shape == (0, 4)


def test_an_empty_keyframe_hides_people() -> None:
    rows = table((0, LEFT, -1), (2, LEFT, -1), (3, LEFT, -1))
    told = InterpolatedPeople(rows, times=np.arange(4.0))
    assert [len(told.at(t).row) for t in (0.0, 0.4, 0.6, 1.0, 1.4, 1.6)] == [1, 1, 0, 0, 0, 1]


def test_a_long_gap_is_not_bridged() -> None:
    rows = table((0, LEFT, -1), (1, LEFT, -1), (2, LEFT, -1), (9, LEFT, -1), (10, LEFT, -1))
    motion = InterpolatedPeople(rows)
    assert [len(motion.at(t).row) for t in (1.5, 2.4, 2.6, 8.4, 8.6, 9.5)] == [1, 1, 0, 0, 1, 1]


@pytest.mark.parametrize("time", np.linspace(-1, 4, 41).tolist())
def test_no_person_is_shown_twice(time: float) -> None:
    rows = table(*[(t, moved(box, t / 50), -1) for t in (0, 1, 2, 3) for box in (LEFT, RIGHT)])
    shown = InterpolatedPeople(rows).at(time)
    assert len(set(shown.person.tolist())) == len(shown.person)
