from itertools import pairwise

import numpy as np
import pytest

from stadkit.synth.actors import (
    GESTURE_CHANCE,
    GESTURE_WEIGHTS,
    POSE_WEIGHTS,
    UPPER_WEIGHTS,
    Segment,
    draw_segments,
    play,
)
from stadkit.synth.classes import CLASSES, GESTURES, POSES, labels
from stadkit.synth.poses import POSE_MOTION
from stadkit.synth.skeleton import Manner


def manner(seed: int = 0) -> Manner:
    return Manner.draw(np.random.default_rng(seed))


def test_tables_cover_all_classes() -> None:
    for table in (POSE_WEIGHTS, UPPER_WEIGHTS, GESTURE_CHANCE, GESTURE_WEIGHTS, POSE_MOTION):
        assert len(table) == len(POSES)
    assert all(len(row) == len(GESTURES) for row in GESTURE_WEIGHTS)


def test_label_ids_start_at_one() -> None:
    assert labels().names == CLASSES
    assert labels().ids == tuple(range(1, 15))
    assert CLASSES[0] == "stand"
    assert CLASSES[8] == "wave"


def test_labels_change_where_a_segment_starts() -> None:
    walk, wave = POSES.index("walk"), GESTURES.index("wave")
    segments = [Segment(-1.0, 0, wave, manner(1)), Segment(0.5, walk, -1, manner(2))]
    timeline = play(segments, np.array([0.0, 0.49, 0.5, 1.0]))
    assert timeline.action[:, 0].tolist() == [True, True, False, False]
    assert timeline.action[:, walk].tolist() == [False, False, True, True]
    assert timeline.action[:, len(POSES) + wave].tolist() == [True, True, False, False]
    assert timeline.segment.tolist() == [0, 0, 1, 1]


def test_motions_are_blended_between_segments() -> None:
    """Standing has speed 0; halfway through the blend the speed is half the walking speed."""
    segments = [Segment(-1.0, 0, -1, manner(1)), Segment(0.5, 1, -1, manner(2))]
    speed = play(segments, np.array([0.3, 0.5, 0.7])).motion.speed
    assert speed[0] == 0
    assert speed[1] == pytest.approx(speed[2] / 2)


@pytest.mark.parametrize("seed", range(5))
def test_segments_cover_the_time(seed: int) -> None:
    segments = draw_segments(np.random.default_rng(seed), -0.6, 11.0)
    starts = [segment.start for segment in segments]
    assert starts[0] <= -0.6
    assert starts == sorted(starts)
    assert all(1.2 <= b - a <= 4.0 for a, b in pairwise(starts))
    assert 11.0 - starts[-1] <= 4.0


def test_upper_bodies_never_kick() -> None:
    rng, kick = np.random.default_rng(0), GESTURES.index("kick")
    drawn = [s.gesture for _ in range(60) for s in draw_segments(rng, 0, 10, upper=True)]
    assert kick not in drawn
    assert len(set(drawn)) > 4
