"""Smoothing by hand: e^-.5 = .6065 one width away, e^-2 = .1353 two widths away."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stadkit.linking.segments import smooth

ONE, TWO = np.exp(-0.5), np.exp(-2.0)


def smoothed(
    values: list[float], time: list[float], width: float, line: bool
) -> NDArray[np.float64]:
    column = np.array(values, np.float64).reshape(-1, 1, 1)
    length = np.array([len(values)])
    return smooth(column, np.array(time, np.float64).reshape(-1, 1), length, width, line)[:, 0, 0]


def test_a_mean_by_hand() -> None:
    got = smoothed([6, 0, 3], [0, 1, 2], width=1, line=False)
    first = (6 + 3 * TWO) / (1 + ONE + TWO)
    middle = 9 * ONE / (1 + 2 * ONE)
    last = (6 * TWO + 3) / (1 + ONE + TWO)
    assert got == pytest.approx([first, middle, last])


def test_a_line_by_hand() -> None:
    got = smoothed([6, 0, 3], [0, 1, 2], width=1, line=True)
    # Weighted least squares at each time.
    weights = [[1, ONE, TWO], [ONE, 1, ONE], [TWO, ONE, 1]]
    lines = [np.polyfit([0, 1, 2], [6, 0, 3], 1, w=np.sqrt(w)) for w in weights]
    assert got == pytest.approx([np.polyval(fit, t) for t, fit in enumerate(lines)])


def test_lines_are_followed_at_the_ends_and_over_uneven_steps() -> None:
    time = [0, 0.04, 0.08, 0.2, 0.24, 0.3, 0.5]
    values = [1 + 2 * t for t in time]
    assert smoothed(values, time, 0.1, line=True) == pytest.approx(values)
    mean = smoothed(values, time, 0.1, line=False)
    assert mean[0] > values[0] + 0.05
    assert mean[-1] < values[-1] - 0.01


def test_noise_around_a_line_is_reduced() -> None:
    time = (np.arange(200) / 25).tolist()
    noise = np.random.default_rng(0).normal(0, 1, 200)
    left = smoothed((np.arange(200) + noise).tolist(), time, 0.06, line=True) - np.arange(200)
    # Weights w of a Gaussian of 1.5 steps: the root of the sum of w^2 is .43.
    assert left[10:-10].std() == pytest.approx(0.43, abs=0.06)


@pytest.mark.parametrize("line", [False, True])
def test_constants_are_unchanged(line: bool) -> None:
    assert smoothed([0.3] * 9, list(range(9)), 1.0, line) == pytest.approx([0.3] * 9)


def test_a_neighbour_counts_as_far_as_three_widths() -> None:
    near = smoothed([0, 1], [0, 2], width=1, line=False)
    assert near == pytest.approx([TWO / (1 + TWO), 1 / (1 + TWO)])
    far = np.exp(-0.5 * 2.9**2)
    assert smoothed([0, 1], [0, 2.9], width=1, line=False)[0] == pytest.approx(far / (1 + far))
    for line in (False, True):
        assert smoothed([0, 1, 5], [0, 3.1, 6.2], width=1, line=line).tolist() == [0, 1, 5]
        assert smoothed([0, 1, 5], [0, 1, 2], width=0, line=line).tolist() == [0, 1, 5]


def test_all_neighbours_within_three_widths_count() -> None:
    # 25 a second, .06 s: four to each side are within .18 s, and the fifth weighs .4 %.
    values = [0.0] * 11
    values[1] = 1.0
    time = [step / 25 for step in range(11)]
    weight = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    got = smoothed(values, time, 0.06, line=False)
    assert got[5] == pytest.approx(weight[1] / weight.sum(), rel=0.01)


@pytest.mark.parametrize("line", [False, True])
def test_padding_does_not_affect_shorter_tracks(line: bool) -> None:
    values = np.zeros((4, 2, 1))
    values[:, 0, 0], values[:, 1, 0] = [1, 2, 9, 4], [1, 2, 77, -5]
    time = np.array([[0, 0], [1, 1], [2, 1], [3, 1]], np.float64)
    got = smooth(values, time, np.array([4, 2]), 1.0, line)
    assert got[:, 0, 0] == pytest.approx(smoothed([1, 2, 9, 4], [0, 1, 2, 3], 1.0, line))
    assert got[:2, 1, 0] == pytest.approx(smoothed([1, 2], [0, 1], 1.0, line))


@pytest.mark.parametrize("line", [False, True])
def test_a_single_observation_is_unchanged(line: bool) -> None:
    assert smoothed([0.4], [3.0], 1.0, line).tolist() == [0.4]
    # Beside a longer track that is smoothed; its time is repeated beyond its end.
    values, time = np.zeros((3, 2, 1)), np.array([[0, 5], [1, 5], [2, 5]], np.float64)
    values[:, 0, 0], values[:, 1, 0] = [1, 0, 1], [0.4, 8, 8]
    got = smooth(values, time, np.array([3, 1]), 1.0, line)
    assert got[0, 1, 0] == pytest.approx(0.4)


def test_each_coordinate_is_smoothed_equally() -> None:
    values = np.array([[6, 60], [0, 0], [3, 30]], np.float64).reshape(3, 1, 2)
    got = smooth(values, np.arange(3.0).reshape(3, 1), np.array([3]), 1.0, line=False)
    assert got[:, 0, 1] == pytest.approx(10 * got[:, 0, 0])
