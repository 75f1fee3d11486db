"""Overlapping tubelets become one row per person and frame."""

from __future__ import annotations

import numpy as np

from stadkit.detections import Detections
from stadkit.linking.tubelets import join_tubelets

HERE, THERE = [0.1, 0.1, 0.3, 0.9], [0.6, 0.1, 0.8, 0.9]


def tubelet(track: int, times: list[float], box: list[float], score: float) -> Detections:
    n = len(times)
    return Detections(
        video=np.full(n, "v"),
        time=np.array(times),
        box=np.array([box] * n, np.float32),
        person=np.full(n, score, np.float32),
        action=np.full((n, 1), score / 2, np.float32),
        track=np.full(n, track, np.int32),
        classes=("a",),
    )


def join(*parts: Detections) -> Detections:
    return join_tubelets(Detections.join(parts, ("a",)))


def test_two_clips_that_share_two_frames_give_each_frame_once() -> None:
    first, second = [0.0, 0.2, 0.4, 0.6], [0.4, 0.6, 0.8, 1.0]
    moved = (np.array(HERE) + 0.01).tolist()
    found = join(
        tubelet(0, first, HERE, 0.8),
        tubelet(1, first, THERE, 0.6),
        tubelet(2, second, moved, 0.4),
    )
    own = found.select(found.track == found.track[0])
    assert own.time.tolist() == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    np.testing.assert_allclose(own.person, [0.8, 0.8, 0.6, 0.6, 0.4, 0.4], atol=1e-6)
    np.testing.assert_allclose(own.action[:, 0], own.person / 2, atol=1e-6)
    np.testing.assert_allclose(own.box[2], np.array(HERE) + 0.005, atol=1e-6)
    other = found.select(found.track != found.track[0])
    assert (other.time.tolist(), len(set(other.track.tolist()))) == (first, 1)


def test_another_person_in_the_shared_frames_stays_separate() -> None:
    found = join(tubelet(0, [0.0, 0.2], HERE, 0.8), tubelet(1, [0.2, 0.4], THERE, 0.8))
    assert found.time.tolist() == [0.0, 0.2, 0.2, 0.4]
    assert len(set(found.track.tolist())) == 2


def test_an_empty_table() -> None:
    assert len(join_tubelets(Detections.empty(("a",)))) == 0
