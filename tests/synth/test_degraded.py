"""Simulated detections."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stadkit.boxes import iou
from stadkit.detections import Detections
from stadkit.synth.benchmark_sets import crowd
from stadkit.synth.degraded import degrade

CLASSES = ("run", "jump", "wave")


def still(frames: int, video: str = "a") -> Detections:
    """One running person at every frame, 25 frames per second."""
    return Detections(
        video=np.full(frames, video),
        time=np.arange(frames) / 25,
        box=np.tile(np.array([0.25, 0.2, 0.45, 0.6], np.float32), (frames, 1)),
        person=np.ones(frames, np.float32),
        action=np.tile(np.array([1, 0, 0], np.float32), (frames, 1)),
        track=np.zeros(frames, np.int32),
        classes=CLASSES,
    )


def columns(table: Detections) -> list[NDArray[np.generic]]:
    return [table.video, table.time, table.box, table.person, table.action]


def test_the_same_seed_gives_the_same_detections() -> None:
    truth = crowd(2, 50, 4, 5, seed=1)
    one, again, other = (degrade(truth, 0.04, seed)[0] for seed in (3, 3, 4))
    for a, b in zip(columns(one), columns(again), strict=True):
        assert np.array_equal(a, b)
    assert len(one) != len(other) or not np.array_equal(one.box, other.box)


def test_keyframes_include_empty_ones() -> None:
    whole = still(101)  # 0 to 4 s
    gap = whole.select((whole.time < 1) | (whole.time > 2.5))
    found, keyframes = degrade(gap, 1.0, 0, miss=0, false=0)
    assert keyframes.time.tolist() == [0, 1, 2, 3, 4]
    assert found.time.tolist() == [0, 3, 4]
    _, often = degrade(whole, 0.2, 0)
    assert np.allclose(often.time, np.arange(21) / 5)


def test_every_video_has_its_own_keyframes() -> None:
    truth = Detections.join([still(26, "b"), still(51, "a")], CLASSES)
    _, keyframes = degrade(truth, 1.0, 0)
    pairs = list(zip(keyframes.video.tolist(), keyframes.time.tolist(), strict=True))
    assert pairs == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]


def test_without_noise_boxes_are_the_true_ones() -> None:
    truth = still(10)
    found, _ = degrade(truth, 0.04, 0, jitter=0, miss=0, false=0)
    assert np.allclose(found.box, truth.box)
    assert (found.track == -1).all()


def test_jitter_scales_with_the_box() -> None:
    truth = still(4000)
    found, _ = degrade(truth, 0.04, 0, jitter=0.03, miss=0, false=0)
    moved = (found.box - truth.box).std(0)
    # 3 % of a width of .2 and of a height of .4.
    assert moved == pytest.approx([0.006, 0.012, 0.006, 0.012], rel=0.05)
    assert (found.box - truth.box).mean(0) == pytest.approx(np.zeros(4), abs=1e-3)


def test_large_jitter_keeps_boxes_valid() -> None:
    found, _ = degrade(still(500), 0.04, 0, jitter=2.0, miss=0)
    assert (found.box[:, 2:] > found.box[:, :2]).all()
    assert found.box.min() >= 0
    assert found.box.max() <= 1


def test_miss_rate_and_false_boxes() -> None:
    truth = still(4000)
    missed, _ = degrade(truth, 0.04, 0, miss=0.35, false=0)
    assert len(missed) / 4000 == pytest.approx(0.65, abs=0.02)
    found, _ = degrade(truth, 0.04, 0, miss=0, false=0.05)
    assert len(found) == 4200
    assert len(degrade(truth, 0.04, 0, miss=1, false=0)[0]) == 0


def test_missing_people_does_not_change_the_others() -> None:
    truth = still(100)
    every, _ = degrade(truth, 0.04, 0, miss=0, false=0)
    some, _ = degrade(truth, 0.04, 0, miss=0.35, false=0)
    at = np.searchsorted(every.time, some.time)
    assert 40 < len(some) < 90
    assert np.array_equal(every.box[at], some.box)
    assert np.array_equal(every.action[at], some.action)


def test_true_classes_score_high_and_false_boxes_score_one() -> None:
    truth = still(2000)
    found, _ = degrade(truth, 0.04, 0, jitter=0, miss=0, false=0.5)
    right = iou(found.box, truth.box[:1])[:, 0] > 0.99
    assert right.sum() == 2000
    # Means of Beta(6, 2), Beta(1, 8), Beta(8, 2) and Beta(2, 4).
    assert found.action[right].mean(0) == pytest.approx([0.75, 1 / 9, 1 / 9], abs=0.02)
    assert found.person[right].mean() == pytest.approx(0.8, abs=0.02)
    assert found.person[~right].mean() == pytest.approx(1 / 3, abs=0.03)
    # A false box has one of three classes: a third of 1/3, and two thirds of 1/9.
    assert found.action[~right].mean(0) == pytest.approx(np.full(3, 5 / 27), abs=0.03)


def test_people_of_a_keyframe_are_ordered_by_score() -> None:
    found, _ = degrade(crowd(2, 30, 6, 3, seed=0), 0.04, 0)
    for video in ("crowd-0000", "crowd-0001"):
        part = found.select(found.video == video)
        assert (np.diff(part.time) >= 0).all()
        same = np.diff(part.time) == 0
        assert same.any()
        assert (np.diff(part.person)[same] <= 0).all()


def test_empty_truth_and_invalid_intervals() -> None:
    found, keyframes = degrade(Detections.empty(CLASSES), 1.0, 0)
    assert len(found) == len(keyframes) == 0
    assert found.classes == CLASSES
    for every in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            degrade(still(3), every, 0)
