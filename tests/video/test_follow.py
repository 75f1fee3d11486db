"""Linked people at any time: interpolated, bridged past missed keyframes, labelled by tubes."""

from __future__ import annotations

import numpy as np

from stadkit.detections import Detections
from stadkit.tubes import Tubes
from stadkit.video.follow import Follow

Box = tuple[float, float, float, float]
LEFT, RIGHT = (0.0, 0.2, 0.2, 0.8), (0.6, 0.2, 0.8, 0.8)


def table(*rows: tuple[float, Box, int], person: float = 1.0) -> Detections:
    """Rows of (time, box, track)."""
    n = len(rows)
    return Detections(
        video=np.array(["v"] * n, np.str_),
        time=np.array([row[0] for row in rows], np.float64),
        box=np.array([row[1] for row in rows], np.float32).reshape(n, 4),
        person=np.full(n, person, np.float32),
        action=np.zeros((n, 2), np.float32),
        track=np.array([row[2] for row in rows], np.int32),
        classes=("walk", "wave"),
    )


def tube(
    track: int, label: int, *boxes: tuple[float, Box, float, bool], score: float = 0.5
) -> Tubes:
    """Boxes of (time, box, score, interpolated)."""
    return Tubes(
        video=np.array(["v"]),
        label=np.array([label], np.int32),
        score=np.array([score]),
        track=np.array([track], np.int32),
        start=np.array([0, len(boxes)]),
        time=np.array([box[0] for box in boxes], np.float64),
        box=np.array([box[1] for box in boxes], np.float64),
        box_score=np.array([box[2] for box in boxes], np.float64),
        interpolated=np.array([box[3] for box in boxes], np.bool_),
        classes=("walk", "wave"),
    )


NONE = Tubes.empty(("walk", "wave"))
SECONDS = np.arange(6, dtype=np.float64)


def test_boxes_are_interpolated_with_their_source() -> None:
    # Detected at 0, 1 and 3; missed at 2.
    rows = table((0, LEFT, 4), (1, (0.2, 0.2, 0.4, 0.8), 4), (3, RIGHT, 4))
    follow = Follow(rows, NONE, SECONDS)
    expected = [(0, 0, "seen"), (0.5, 0.1, "moved"), (1, 0.2, "seen"), (2, 0.4, "guessed")]
    for time, left, edge in expected:
        scene = follow.at(time)
        assert (scene.track, scene.edge) == ([4], [edge])
        np.testing.assert_allclose(scene.box[0], [left, 0.2, left + 0.2, 0.8], atol=1e-6)
    # Half an interval at either end.
    assert [len(follow.at(time).track) for time in (-0.6, -0.4, 3.4, 3.6)] == [0, 1, 1, 0]
    assert follow.at(3.4).edge == ["moved"]


def test_only_a_tube_bridges_more_than_two_misses() -> None:
    rows = table((0, LEFT, 0), (4, RIGHT, 0))
    assert [len(Follow(rows, NONE, SECONDS).at(t).track) for t in (0.4, 2, 3.6)] == [1, 0, 1]
    middle = tube(0, 0, *((t, (t / 10, 0, 1, 1), 0.5, 0 < t < 4) for t in range(5)))
    scene = Follow(rows, middle, SECONDS).at(2)
    assert scene.edge == ["guessed"]
    np.testing.assert_allclose(scene.box[0], [0.2, 0, 1, 1], atol=1e-6)
    # At a keyframe with a detection its box is used, not the tube's.
    np.testing.assert_allclose(Follow(rows, middle, SECONDS).at(4).box[0], RIGHT, atol=1e-6)


def test_labels_come_from_the_tubes_at_that_time() -> None:
    rows = table((0, LEFT, 7), (1, LEFT, 7), (2, LEFT, 7), (2, RIGHT, 8))
    walk = tube(7, 0, (0, LEFT, 0.5, False), (1, LEFT, 0.6, False), (2, LEFT, 0.9, False))
    wave = tube(7, 1, (1, LEFT, 0.8, False), score=0.1)  # the tube's score is not used
    tubes = Tubes.join([walk, wave], walk.classes)
    follow = Follow(rows, tubes, SECONDS[:3], min_score=0.3)
    assert follow.at(0.4).lines == [["#7", "walk 0.50"]]
    assert follow.at(0.6).lines == [["#7", "wave 0.80", "walk 0.60"]]
    assert follow.at(2).lines == [["#7", "walk 0.90"], ["#8"]]
    assert Follow(rows, tubes, SECONDS[:3], min_score=0.85).at(1).lines == [["#7", "walk 0.60"]]
    assert Follow(rows, tubes, SECONDS[:3], most=1).at(1).lines == [["#7", "wave 0.80"]]


def test_untracked_rows_are_hidden_and_duplicates_shown_once() -> None:
    sure, doubtful = table((0, LEFT, 0)), table((0, RIGHT, 0), (0, RIGHT, -1), person=0.5)
    scene = Follow(Detections.join([doubtful, sure], sure.classes), NONE, SECONDS).at(0)
    assert scene.track == [0]
    np.testing.assert_allclose(scene.box[0], LEFT, atol=1e-6)


def test_empty_table_and_tubes() -> None:
    assert Follow(table(), NONE, np.zeros(0)).at(1.0).box.shape == (0, 4)
    assert Follow(table((0, LEFT, 0)), NONE, np.zeros(0)).at(0.4).track == [0]
