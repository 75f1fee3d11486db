"""Which gaps of tracks are misses, from how many there are of each length."""

import numpy as np
import pytest

from stadkit.linking.track import longest_missed_gap


def seen(*gaps: int, whole: int) -> tuple[np.ndarray, np.ndarray]:
    """One track with these missed keyframes between sights, and `whole` steps without."""
    step = np.array([*[1] * whole, *[gap + 1 for gap in gaps]])
    frame = np.append(0, np.cumsum(step))
    return np.zeros(len(frame), np.int32), frame.astype(np.intp)


def found(*gaps: int, whole: int, interval: float = 0.04) -> int:
    return longest_missed_gap(*seen(*gaps, whole=whole), interval, 7)


def test_before_anything_is_seen_some_are_missed() -> None:
    # .3 x .7 x .3^(k-1) against .07 x interval x e^(-k interval): at 25 a second .0017 > .0023
    # fails at k = 5, .00567 and .0024 hold at k = 4; at 1 a second .0189 > .0035 at k = 3.
    assert found(whole=0) == 4
    assert found(whole=0, interval=1.0) >= 3


def test_a_detector_that_misses_nobody_has_no_longest_miss() -> None:
    # 5.6 of 605.6 are missed, 30 % of these again: .0065 once, .0019 twice; away .0027, .0026.
    assert found(whole=600) == 1
    assert found(whole=2000) == 0
    # A second away, longer than any miss, says nothing.
    assert found(*[24] * 50, whole=2000) == 0
    # Five gaps of a length in 2000 keyframes are what comes of people who go: .07 x .04 x 2000.
    assert found(*[*range(1, 6)] * 5, whole=2000) == 0


def test_a_third_missed_now_and_then() -> None:
    gaps = [1] * 85 + [2] * 30 + [3] * 11 + [4] * 4 + [5] * 2
    told = found(*gaps, whole=253)
    assert told in (5, 6)


def test_misses_in_bursts_are_longer_than_misses_by_themselves() -> None:
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
    told = longest_missed_gap(track[order], frame[order], 0.04, 7)
    assert told == longest_missed_gap(track, frame, 0.04, 7)
