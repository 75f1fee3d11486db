"""Where tubes begin, end and continue, by hand, through `link`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from stadkit.detections import Detections, Keyframes
from stadkit.linking import Linked, LinkOptions, link
from stadkit.linking.segments import longest_gap

Floats = NDArray[np.float64]
PLAIN = LinkOptions(smooth=0, smooth_scores=0)


def person(time: Floats, left: Floats | float = 0.1, score: Floats | float = 0.8) -> Detections:
    """A person observed at these times, with one action."""
    n = len(time)
    x = np.broadcast_to(np.asarray(left, np.float64), n)
    return Detections(
        video=np.full(n, "a"),
        time=time,
        box=np.stack([x, np.full(n, 0.3), x + 0.1, np.full(n, 0.6)], 1).astype(np.float32),
        person=np.full(n, 0.9, np.float32),
        action=np.broadcast_to(np.asarray(score, np.float32), n).reshape(n, 1).copy(),
        track=np.full(n, -1, np.int32),
        classes=("class 0",),
    )


def missed(rate: float, count: int, options: LinkOptions = PLAIN) -> Linked:
    """A person seen in ten keyframes, missed in `count`, seen in ten."""
    steps = np.array([*range(10), *range(10 + count, 20 + count)])
    looked = Keyframes(np.full(20 + count, "a"), np.arange(20 + count) / rate)
    return link(person(steps / rate), looked, options)


def tubes_of(linked: Linked) -> list[int]:
    """Return the number of boxes of each tube."""
    return np.diff(linked.tubes.start).tolist()


# Seconds between sights: three intervals or 1 s at 1, 5 a second, eight intervals at 25.
@pytest.mark.parametrize(
    ("interval", "seconds"), [(1.0, 3.0), (0.2, 1.0), (0.04, 0.32), (0.1, 0.8), (0.4, 1.2)]
)
def test_the_longest_gap_of_a_tube(interval: float, seconds: float) -> None:
    assert longest_gap(1.0, interval) == pytest.approx(seconds, abs=1e-5)


def test_tube_gaps_are_at_most_ten_seconds_by_default() -> None:
    assert longest_gap(1.0, 5.0) == pytest.approx(10, abs=1e-5)
    assert longest_gap(30.0, 5.0) == pytest.approx(30, abs=1e-5)
    assert longest_gap(0.0, 0.04) == pytest.approx(0.12, abs=1e-5)


@pytest.mark.parametrize(("rate", "most"), [(1, 2), (5, 4), (25, 7)])
def test_a_tube_bridges_missed_keyframes(rate: float, most: int) -> None:
    wide = replace(PLAIN, max_gap=10)
    whole = missed(rate, most, wide)
    assert tubes_of(whole) == [20 + most]
    assert whole.tubes.interpolated.sum() == most
    cut = missed(rate, most + 1, wide)
    assert tubes_of(cut) == [10, 10]
    assert cut.tubes.track.tolist() == [0, 0]
    assert not cut.tubes.interpolated.any()


@pytest.mark.parametrize(("rate", "most"), [(0.5, 2), (1, 2), (5, 9), (25, 49)])
def test_a_track_survives_missed_keyframes(rate: float, most: int) -> None:
    """Gaps of at most two seconds, or three intervals."""
    assert missed(rate, most).found.track[-1] == 0
    assert missed(rate, most + 1).found.track[-1] == 1


def test_at_five_second_keyframes_a_track_survives_ten_seconds() -> None:
    assert missed(0.2, 1).found.track[-1] == 0
    assert missed(0.2, 2).found.track[-1] == 1


def test_no_tube_bridges_unprocessed_time() -> None:
    # Five a second, but for one second and a half: one person, two tubes.
    time = np.array([*range(5), *range(12, 17)]) / 5
    linked = link(person(time), None, PLAIN)
    assert linked.found.track.tolist() == [0] * 10
    assert tubes_of(linked) == [5, 5]
    # One second is no hole.
    time = np.array([*range(5), *range(9, 14)]) / 5
    assert tubes_of(link(person(time), None, PLAIN)) == [10]


def test_a_tubelet_keeps_its_track_over_any_gap() -> None:
    time = np.append(np.arange(5), np.arange(500, 505)) / 5
    found = replace(person(time), track=np.zeros(10, np.int32))
    linked = link(found, None, PLAIN)
    assert linked.found.track.tolist() == [0] * 10
    assert tubes_of(linked) == [5, 5]
    assert linked.tubes.score == pytest.approx([0.8 * 5 / 6] * 2)


def test_a_tube_ends_at_a_long_absence_with_equal_scores() -> None:
    linked = missed(5, 8)
    assert linked.tubes.time[linked.tubes.start[:-1]] == pytest.approx([0, 18 / 5])
    assert linked.tubes.time[linked.tubes.start[1:] - 1] == pytest.approx([9 / 5, 27 / 5])


def test_a_tube_ends_at_any_gap_of_a_perfect_detector() -> None:
    steps = np.array([*range(1000), *range(1002, 2002)])
    looked = Keyframes(np.full(2002, "a"), np.arange(2002) / 25)
    linked = link(person(steps / 25), looked, PLAIN)
    assert set(linked.found.track.tolist()) == {0}
    assert tubes_of(linked) == [1000, 1000]


def test_evenly_moving_boxes_are_unchanged() -> None:
    left = 0.1 + 0.01 * np.arange(20)
    tubes = link(person(np.arange(20) / 25, left), None, LinkOptions()).tubes
    assert tubes.box[:, 0] == pytest.approx(left, abs=1e-6)
    assert tubes.box[:, 2] == pytest.approx(left + 0.1, abs=1e-6)


def test_jittering_boxes_are_smoothed() -> None:
    left = 0.1 + 0.004 * (np.arange(40) % 2)
    found = person(np.arange(40) / 25, left)
    smooth = link(found, None, LinkOptions()).tubes.box[5:-5, 0]
    assert smooth == pytest.approx(np.full(30, 0.102), abs=3e-4)
    plain = link(found, None, replace(LinkOptions(), smooth=0)).tubes.box[5:-5, 0]
    assert plain == pytest.approx(left[5:-5], abs=1e-6)


def test_scores_are_smoothed_for_segmentation_but_reported_raw() -> None:
    # Four keyframes of .8 and then four of 0 in turn, .16 s each; then nothing for a second.
    score = np.array([0.8, 0.8, 0.0, 0.0] * 8 + [0.0] * 25)
    found = person(np.arange(57) / 25, 0.1, score)
    cheap = replace(LinkOptions(), switch=0.0)
    tubes = link(found, None, cheap).tubes
    assert len(tubes) == 1
    assert tubes.box_score[:30] == pytest.approx(score[:30])
    assert len(link(found, None, replace(cheap, smooth_scores=0)).tubes) == 8


def test_a_tube_score_is_the_mean_reduced_for_few_detections() -> None:
    time = np.array([0, 1, 2, 4]) / 5  # .6 s missed
    found = person(time, 0.1, np.array([0.6, 0.8, 0.8, 0.5]))
    looked = Keyframes(np.full(5, "a"), np.arange(5) / 5)
    tubes = link(found, looked, PLAIN).tubes
    assert tubes.box_score == pytest.approx([0.6, 0.8, 0.8, 0.65, 0.5])
    assert tubes.interpolated.tolist() == [False, False, False, True, False]
    assert tubes.score == pytest.approx([3.35 / 5 * 4 / 5])


def test_a_keyframe_stands_for_the_time_around_it() -> None:
    # At 1 a second a dip to .1 between .8s lasts a second and ends the action; it does not
    # where keyframes are .04 s apart: (.4 - .1) * .04 = .012 < .05 * .8.
    score = np.array([0.8, 0.8, 0.1, 0.8, 0.8])
    assert tubes_of(link(person(np.arange(5.0), 0.1, score), None, PLAIN)) == [2, 2]
    assert tubes_of(link(person(np.arange(5) / 25, 0.1, score), None, PLAIN)) == [5]
    # Half the way to each neighbour: .2 s of .3 cost .06.
    time = np.array([0, 0.04, 0.24, 0.44, 0.48])
    assert tubes_of(link(person(time, 0.1, score), None, PLAIN)) == [2, 2]


def test_a_low_scoring_class_has_no_tube() -> None:
    assert tubes_of(link(person(np.arange(5) / 5, 0.1, 0.06), None, PLAIN)) == [5]
    assert tubes_of(link(person(np.arange(5) / 5, 0.1, 0.04), None, PLAIN)) == []
    # Tails under half the best are not part of it.
    score = np.array([0.35, 0.35, 0.9, 0.9, 0.35, 0.35])
    assert tubes_of(link(person(np.arange(6) / 5, 0.1, score), None, PLAIN)) == [2]
