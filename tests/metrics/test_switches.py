"""Identity switches worked by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.detections import Detections
from stadkit.metrics.switches import Switches, best_idf1, switches_of_people, switches_of_tubes
from stadkit.synth.truth import true_tubes
from stadkit.tubes import Tubes

LEFT, BESIDE, RIGHT = (0.0, 0.0, 0.4, 1.0), (0.1, 0.0, 0.5, 1.0), (0.6, 0.0, 1.0, 1.0)
CLASSES = ("run", "jump")
Person = tuple[int, tuple[float, ...], int, list[int]]  # time, box, track, classes that they do


def people(*rows: Person, video: str = "a") -> Detections:
    action = np.zeros((len(rows), len(CLASSES)), np.float32)
    for row, (_, _, _, does) in enumerate(rows):
        action[row, does] = 1
    return Detections(
        video=np.full(len(rows), video),
        time=np.array([row[0] for row in rows], np.float64),
        box=np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
        person=np.ones(len(rows), np.float32),
        action=action,
        track=np.array([row[2] for row in rows], np.int32),
        classes=CLASSES,
    )


def tube(
    times: range, box: tuple[float, ...], label: int = 0, track: int = -1, video: str = "a"
) -> Tubes:
    n = len(times)
    return Tubes(
        video=np.array([video]),
        label=np.array([label], np.int32),
        score=np.ones(1),
        track=np.array([track], np.int32),
        start=np.array([0, n], np.int64),
        time=np.array(times, np.float64),
        box=np.tile(np.array(box), (n, 1)),
        box_score=np.ones(n),
        interpolated=np.zeros(n, np.bool_),
        classes=CLASSES,
    )


def tubes(*parts: Tubes) -> Tubes:
    return Tubes.join(parts, CLASSES)


def test_a_change_is_one_switch_and_back_another() -> None:
    truth = people(*((t, LEFT, 7, [0]) for t in range(6)))
    found = people(*((t, LEFT, track, [0]) for t, track in enumerate([0, 0, 1, 1, 0, 0])))
    result = switches_of_people(found, truth)
    assert result == Switches(switches=2, pairs=5, matched=6, truths=6, same=4, found=6)
    assert result.share == pytest.approx(0.4)
    assert result.recall == pytest.approx(4 / 6)


def test_a_missed_keyframe_is_not_a_switch_but_the_next_match_may_be() -> None:
    truth = people(*((t, LEFT, 7, [0]) for t in range(6)))
    kept = people(*((t, LEFT, 3, [0]) for t in (0, 1, 4, 5)))
    assert switches_of_people(kept, truth).switches == 0
    lost = people(*((t, LEFT, 3 if t < 3 else 4, [0]) for t in (0, 1, 4, 5)))
    assert switches_of_people(lost, truth) == Switches(1, 3, 4, 6, 2, 4)


def test_two_people_who_swap_are_two_switches() -> None:
    truth = people(*((t, box, i, [0]) for t in range(4) for i, box in enumerate((LEFT, RIGHT))))
    found = people(
        *((t, LEFT, int(t >= 2), [0]) for t in range(4)),
        *((t, RIGHT, int(t < 2), [0]) for t in range(4)),
    )
    assert switches_of_people(found, truth) == Switches(2, 6, 8, 8, 4, 8)


def test_one_track_over_all_has_no_switch_but_a_low_recall() -> None:
    # The track follows the first person to time 1, the second from time 2.
    truth = people(*((t, box, i, [0]) for t in range(4) for i, box in enumerate((LEFT, RIGHT))))
    found = people(*((t, LEFT if t < 2 else RIGHT, 0, [0]) for t in range(4)))
    result = switches_of_people(found, truth)
    assert result.switches == 0
    assert result.recall == pytest.approx(2 / 8)


def test_the_best_overlap_is_matched_first() -> None:
    # IoU of LEFT and BESIDE is .3 / .5: enough, but each has a better partner.
    truth = people((0, LEFT, 0, [0]), (0, BESIDE, 1, [0]), (1, LEFT, 0, [0]), (1, BESIDE, 1, [0]))
    found = people((0, BESIDE, 5, [0]), (0, LEFT, 6, [0]), (1, LEFT, 6, [0]), (1, BESIDE, 5, [0]))
    assert switches_of_people(found, truth) == Switches(0, 2, 4, 4, 4, 4)
    # With a partner gone the other one is left to a second best.
    assert switches_of_people(found, truth.select(truth.track == 0)).matched == 2
    assert switches_of_people(found.select(found.track == 6), truth).matched == 2


def test_boxes_that_overlap_too_little_do_not_match() -> None:
    truth = people((0, LEFT, 0, [0]), (1, LEFT, 0, [0]))
    found = people((0, BESIDE, 0, [0]), (1, BESIDE, 0, [0]))
    assert switches_of_people(found, truth, 0.59).matched == 2
    assert switches_of_people(found, truth, 0.61).matched == 0
    assert math.isnan(switches_of_people(found, truth, 0.61).share)


def test_equal_numbers_in_two_videos_are_two_people() -> None:
    parts = [people(*((t, LEFT, 0, [0]) for t in range(2)), video=video) for video in "ab"]
    both = Detections.join(parts, CLASSES)
    renamed = both.with_track(np.array([0, 0, 1, 1], np.int32))
    assert switches_of_people(renamed, both) == Switches(0, 2, 4, 4, 4, 4)


def test_rows_without_a_track_are_ignored() -> None:
    truth = people(*((t, LEFT, 0, [0]) for t in range(3)))
    found = people(*((t, LEFT, -1 if t == 1 else 4, [0]) for t in range(3)))
    assert switches_of_people(found, truth) == Switches(0, 1, 2, 3, 2, 2)


def test_tubes_are_compared_within_a_class() -> None:
    persons = people(*((t, LEFT, 0, [0] if t < 3 else [1]) for t in range(6)))
    truth = true_tubes(persons, 1.0)
    # A tube a class without a track: the action changes, and so may the tube.
    right = tubes(tube(range(3), LEFT, 0), tube(range(3, 6), LEFT, 1))
    assert switches_of_tubes(right, truth, persons) == Switches(0, 4, 6, 6, 6, 6)
    wrong = tubes(tube(range(3), LEFT, 1), tube(range(3, 6), LEFT, 0))
    assert switches_of_tubes(wrong, truth, persons).matched == 0
    broken = tubes(tube(range(2), LEFT, 0), tube(range(2, 3), LEFT, 0), tube(range(3, 6), LEFT, 1))
    assert switches_of_tubes(broken, truth, persons) == Switches(1, 4, 6, 6, 5, 6)


def test_tubes_of_one_track_are_one_person() -> None:
    persons = people(*((t, LEFT, 0, [0]) for t in range(4)))
    truth = true_tubes(persons, 1.0)
    same = tubes(tube(range(2), LEFT, track=5), tube(range(2, 4), LEFT, track=5))
    assert switches_of_tubes(same, truth, persons).switches == 0
    # A tube without a track is never taken for a tube of track 0 or 1.
    mixed = tubes(tube(range(2), LEFT, track=-1), tube(range(2, 4), LEFT, track=1))
    assert switches_of_tubes(mixed, truth, persons).switches == 1


def test_tubes_on_a_neighbour_match_the_neighbour() -> None:
    # Both stand beside each other; only the left one runs, though both have tubes of it.
    persons = people(*((t, box, i, [i]) for t in range(2) for i, box in enumerate((LEFT, BESIDE))))
    truth = true_tubes(persons, 1.0)
    his = tube(range(2), BESIDE, 0, track=1)
    assert switches_of_tubes(his, truth, persons).matched == 0
    both = tubes(his, tube(range(2), LEFT, 0, track=0))
    assert switches_of_tubes(both, truth, persons) == Switches(0, 1, 2, 4, 2, 4)


def test_nothing() -> None:
    none, truth = people(), people((0, LEFT, 0, [0]))
    assert switches_of_people(none, truth) == Switches(0, 0, 0, 1, 0, 0)
    assert switches_of_people(truth, none) == Switches(0, 0, 0, 0, 0, 1)
    assert math.isnan(switches_of_people(none, none).recall)
    empty = Tubes.empty(CLASSES)
    assert switches_of_tubes(empty, empty, none) == Switches(0, 0, 0, 0, 0, 0)
    assert math.isnan(switches_of_people(none, none).idf1)
    assert math.isnan(best_idf1(empty, empty))
    assert best_idf1(empty, tube(range(2), LEFT)) == 0
    assert best_idf1(tube(range(2), LEFT), empty) == 0


def test_idf1_assigns_one_track_per_person_and_counts_the_rest() -> None:
    # True: 8 boxes of one person. Track 0 has the first three, 1 the next five, 2 two false ones.
    truth = people(*((t, LEFT, 7, [0]) for t in range(8)))
    found = people(
        *((t, LEFT, int(t >= 3), [0]) for t in range(8)), *((t, RIGHT, 2, [0]) for t in (0, 1))
    )
    result = switches_of_people(found, truth)
    assert (result.same, result.truths, result.found) == (5, 8, 10)
    assert result.idf1 == pytest.approx(2 * 5 / 18)
    assert result.recall == pytest.approx(5 / 8)


def test_idf1_maximizes_the_matching_boxes() -> None:
    # Track 0 has 4 of the left and 3 of the right one, track 1 has 3 of the left one: 3 + 3 is
    # more than 4 + 0.
    truth = people(*((t, box, i, [0]) for t in range(7) for i, box in enumerate((LEFT, RIGHT))))
    found = people(
        *((t, LEFT, int(t >= 4), [0]) for t in range(7)),
        *((t, RIGHT, 0, [0]) for t in (4, 5, 6)),
    )
    result = switches_of_people(found, truth)
    assert result.same == 6
    assert result.idf1 == pytest.approx(2 * 6 / (14 + 10))


def test_two_boxes_of_one_track_on_one_person_count_once() -> None:
    truth = people((0, LEFT, 0, [0]))
    found = people((0, LEFT, 3, [0]), (0, LEFT, 3, [0]))
    result = switches_of_people(found, truth)
    assert (result.same, result.found) == (1, 2)
    assert result.idf1 == pytest.approx(2 / 3)


def test_a_repeated_action_may_be_on_one_track() -> None:
    persons = people(*((t, LEFT, 0, [0] if t not in (2, 3) else [1]) for t in range(6)))
    truth = true_tubes(persons, 1.0)
    assert len(truth) == 3
    result = switches_of_tubes(truth, truth, persons)
    assert (result.same, result.truths, result.found) == (6, 6, 6)
    assert result.recall == result.idf1 == best_idf1(truth, truth) == 1


def test_the_best_idf1_drops_doubtful_tubes() -> None:
    persons = people(*((t, LEFT, 0, [0]) for t in range(4)))
    truth = true_tubes(persons, 1.0)
    right = replace(tube(range(3), LEFT), score=np.array([0.8]))
    wrong = replace(tube(range(4), RIGHT), score=np.array([0.1]))
    other = replace(tube(range(4), LEFT, 1), score=np.array([0.3]))
    # All: 3 of 4 true and 11 found boxes; the best alone: 3 of 4 and 3.
    assert switches_of_tubes(tubes(right, wrong, other), truth, persons).idf1 == 6 / 15
    assert best_idf1(tubes(right, wrong, other), truth) == pytest.approx(6 / 7)
    assert best_idf1(tubes(other, wrong, right), truth) == pytest.approx(6 / 7)
    surer = replace(wrong, score=np.array([0.9]))
    assert best_idf1(tubes(right, surer, other), truth) == pytest.approx(6 / 11)


@given(st.integers(0, 10_000))
def test_true_tracks_have_no_switches_in_any_order_or_numbering(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows: list[Person] = [
        (t, (0.2 * i, 0.0, 0.2 * i + 0.15, 1.0), i, [0])
        for t in range(5)
        for i in rng.permutation(5)[: rng.integers(0, 6)].tolist()
    ]
    truth = people(*rows)
    result = switches_of_people(truth, truth)
    assert result.switches == 0
    assert result.matched == result.same == len(truth)
    found = truth.with_track(rng.integers(0, 3, len(truth)).astype(np.int32))
    mixed = found.select(rng.permutation(len(found)))
    renamed = mixed.with_track((2 - mixed.track).astype(np.int32))
    assert switches_of_people(found, truth) == switches_of_people(renamed, truth)
