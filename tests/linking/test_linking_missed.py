"""Estimating missed gaps from the histogram of gap lengths."""

import numpy as np
import pytest

from stadkit.linking.track import longest_missed_gap


def seen(*gaps: int, whole: int) -> tuple[np.ndarray, np.ndarray]:
    """Make one track with these missed gaps, and `whole` steps without a gap."""
    step = np.array([*[1] * whole, *[gap + 1 for gap in gaps]])
    frame = np.append(0, np.cumsum(step))
    return np.zeros(len(frame), np.int32), frame.astype(np.intp)


def found(*gaps: int, whole: int, interval: float = 0.04) -> int:
    return longest_missed_gap(*seen(*gaps, whole=whole), interval, 7)


def test_the_prior_without_observations() -> None:
    # .3 x .7 x .3^(k-1) against .07 x interval x e^(-k interval): at 25 a second .0017 > .0023
    # fails at k = 5, .00567 and .0024 hold at k = 4; at 1 a second .0189 > .0035 at k = 3.
    assert found(whole=0) == 4
    assert found(whole=0, interval=1.0) >= 3


def test_a_perfect_detector_has_no_missed_gap() -> None:
    # 5.6 of 605.6 are missed, 30 % of these again: .0065 once, .0019 twice; away .0027, .0026.
    assert found(whole=600) == 1
    assert found(whole=2000) == 0
    # A second away, longer than any miss, says nothing.
    assert found(*[24] * 50, whole=2000) == 0
    # The expected absences explain five gaps of a length in 2000 keyframes: .07 x .04 x 2000.
    assert found(*[*range(1, 6)] * 5, whole=2000) == 0


def test_a_third_missed_at_random() -> None:
    gaps = [1] * 85 + [2] * 30 + [3] * 11 + [4] * 4 + [5] * 2
    result = found(*gaps, whole=253)
    assert result in (5, 6)


def test_bursts_of_misses_give_longer_gaps() -> None:
    alone = found(*[1] * 30, whole=600)
    bursts = found(*[1] * 12, *[2] * 8, *[3] * 6, *[4] * 4, *[5] * 3, whole=600)
    assert alone < bursts


@pytest.mark.parametrize("tracks", [1, 5])
def test_gaps_are_within_tracks(tracks: int) -> None:
    # Tracks one after the other, whose rows are in the order of frames.
    frame = np.arange(400, dtype=np.intp)
    track = (frame * tracks // 400).astype(np.int32)
    assert longest_missed_gap(track, frame * 3 // 3, 0.04, 7) == longest_missed_gap(
        np.zeros(400, np.int32), frame, 0.04, 7
    )
    order = np.argsort(frame % 7, kind="stable")
    result = longest_missed_gap(track[order], frame[order], 0.04, 7)
    assert result == longest_missed_gap(track, frame, 0.04, 7)
