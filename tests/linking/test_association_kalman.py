"""The motion filter against one prediction and one correction worked by hand."""

import numpy as np
import pytest

from stadkit.linking.association import KalmanFilter, to_centre, to_corners


def one(*numbers: float) -> np.ndarray:
    return np.array([numbers], np.float64)


def test_a_new_track_is_stationary_with_growing_uncertainty() -> None:
    motion = KalmanFilter.start(one(0, 0, 2, 4))
    assert motion.position.tolist() == [[1, 2, 2, 4]]
    box, spread = motion.predict(np.array([0.5]))
    assert box == pytest.approx(one(0, 0, 2, 4))
    # .05^2 of the detection, (.6 * .5)^2 of the unknown speed, .8 * .5^3 / 3 of its diffusion.
    assert spread**2 == pytest.approx([0.0025 + 0.09 + 0.1 / 3])


def test_predict() -> None:
    motion = KalmanFilter(
        one(0.5, 0.6, 0.2, 0.4), one(0.1, -0.2, -0.3, 0.05), one(0.01, 0.02, 0.03)
    )
    box, spread = motion.predict(np.array([2.0]))
    # Centre (.7, .2), height .5; a width of -.4 is none at all.
    assert box == pytest.approx(one(0.7, -0.05, 0.7, 0.45))
    # p00 + 2 t p01 + t^2 p11 + .8 t^3 / 3
    assert spread**2 == pytest.approx([0.01 + 0.08 + 0.12 + 6.4 / 3])
    assert motion.position.tolist() == [[0.5, 0.6, 0.2, 0.4]]  # only looked ahead


def test_correct() -> None:
    motion = KalmanFilter.start(np.array([[5.0, 5, 6, 6], [0, 0, 2, 4]]))
    motion.correct(np.array([1]), np.array([0.5]), one(1, 0, 3, 4))
    # Before: p00 = .1258333 (as above), p01 = .5 * .36 + .8 * .5^2 / 2 = .28, p11 = .36 + .4 = .76.
    # Gains: p00 / (p00 + .0025) = 151 / 154, p01 / (p00 + .0025) = 24 / 11.
    assert motion.position[1] == pytest.approx([1 + 151 / 154, 2, 2, 4])
    assert motion.speed[1] == pytest.approx([24 / 11, 0, 0, 0])
    after = [3 / 154 * (0.0925 + 0.1 / 3), 3 / 154 * 0.28, 0.76 - 24 / 11 * 0.28]
    assert motion.cov[1] == pytest.approx(after)
    # The other track is as it was.
    assert motion.position[0].tolist() == [5.5, 5.5, 1, 1]
    assert motion.cov[0] == pytest.approx([0.0025, 0, 0.36])


def test_a_correction_starts_from_the_prediction() -> None:
    motion = KalmanFilter(one(0, 0, 2, 2), one(1, 0, 0, 0), one(0.0025, 0, 0.36))
    motion.correct(np.array([0]), np.array([0.5]), one(-0.5, -1, 1.5, 1))  # centre (.5, 0)
    assert motion.position == pytest.approx(one(0.5, 0, 2, 2))
    assert motion.speed == pytest.approx(one(1, 0, 0, 0))


def test_constant_velocity_is_learnt() -> None:
    motion = KalmanFilter.start(one(0, 0, 0.1, 0.3))
    for step in range(1, 30):
        x = 0.01 * step
        motion.correct(np.array([0]), np.array([0.04]), one(x, 0, x + 0.1, 0.3))
    box, spread = motion.predict(np.array([0.4]))
    assert box == pytest.approx(one(0.39, 0, 0.49, 0.3), abs=0.005)
    assert 0.05 < spread[0] < 0.25  # a new track: .33


def test_select_and_join() -> None:
    two = KalmanFilter.start(np.array([[0.0, 0, 1, 1], [2, 2, 4, 4]]))
    both = two.select(np.array([1])).join(two.select(np.array([True, False])))
    assert both.position.tolist() == [[3, 3, 2, 2], [0.5, 0.5, 1, 1]]
    assert both.speed.shape == (2, 4)
    assert both.cov.shape == (2, 3)


def test_corners_and_centres() -> None:
    box = np.array([[0.1, 0.2, 0.5, 0.8], [0, 0, 1, 1]])
    assert to_centre(box) == pytest.approx(np.array([[0.3, 0.5, 0.4, 0.6], [0.5, 0.5, 1, 1]]))
    assert to_corners(to_centre(box)) == pytest.approx(box)
    assert to_corners(one(0.5, 0.5, -0.2, 0.4)) == pytest.approx(one(0.5, 0.3, 0.5, 0.7))
