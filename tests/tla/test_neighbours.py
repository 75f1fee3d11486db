"""The labelled keyframes that a frame takes labels from."""

import numpy as np
from helpers.made_people import keyframes

from stadkit.detections import Keyframes, number_frames
from stadkit.tla.neighbours import Neighbours, find_neighbours, spacing


def neighbours(
    frames: Keyframes,
    labelled: Keyframes,
    max_gap: float | None = None,
    cuts: dict[str, list[float]] | None = None,
) -> Neighbours:
    of_frames, of_labelled = number_frames(frames, labelled)
    labels = {video: np.array(times) for video, times in (cuts or {}).items()}
    return find_neighbours(frames, of_frames, labelled, of_labelled, max_gap, labels)


def test_nearest_before_and_after() -> None:
    got = neighbours(keyframes(0.5, 1.2, 2.5, 9.0), keyframes(1, 2, 3))
    assert got.left.tolist() == [-1, 0, 1, -1]
    assert got.right.tolist() == [0, 1, 2, -1]  # 9 s is farther from 3 s than 1.5 spacings


def test_max_gap_counts_to_the_millisecond() -> None:
    assert 1.1 - 1 > 0.1
    got = neighbours(keyframes(1.1, 1.2), keyframes(1, 2), max_gap=0.1)
    assert got.left.tolist() == [0, -1]
    assert got.right.tolist() == [-1, -1]


def test_neighbours_are_of_the_same_video() -> None:
    labelled = Keyframes(np.array(["a", "b"]), np.array([1.0, 2.0]))
    got = neighbours(keyframes(1.5), labelled)
    assert (got.left.tolist(), got.right.tolist()) == ([0], [-1])


def test_no_labels_across_a_cut() -> None:
    frames, labelled = keyframes(1.2, 1.4, 1.6), keyframes(1, 2)
    got = neighbours(frames, labelled, cuts={"a": [1.4], "b": [1.1]})
    # The frame at the time of the cut is the first of the new shot.
    assert got.left.tolist() == [0, -1, -1]
    assert got.right.tolist() == [-1, 1, 1]
    assert got.cut.tolist() == [True, True, True]
    assert neighbours(frames, labelled, max_gap=0.5, cuts={"a": [1.4]}).cut.tolist() == [
        False,
        True,
        False,
    ]


def test_nothing_labelled() -> None:
    got = neighbours(keyframes(1.2), keyframes())
    assert (got.left.tolist(), got.right.tolist()) == ([-1], [-1])
    assert not got.cut.any()


def test_spacing_is_per_video() -> None:
    labelled = Keyframes(np.array(["a", "a", "a", "b", "b", "c"]), np.array([0, 1, 5, 0, 0.2, 7]))
    result = spacing(labelled)
    assert {video: round(s, 6) for video, s in result.items()} == {"a": 2.5, "b": 0.2, "c": 1.0}
    assert spacing(keyframes(3)) == {"a": 1.0}
    assert spacing(keyframes()) == {}
