"""Tracking on scenes worked by hand: boxes .1 wide and .3 high."""

import numpy as np
import pytest

from stadkit.linking.association import overlaps, track_people

Row = tuple[int, float, float, int]  # frame, left, top, chain
WIDE, HIGH = 0.1, 0.3


def at(frame: int, left: float, top: float = 0.3, chain: int = -1) -> Row:
    return frame, left, top, chain


def follow(
    rows: list[Row],
    every: float = 0.04,
    max_gap: float = 2.0,
    min_iou: float = 0.2,
    doing: list[tuple[float, ...]] | None = None,
) -> list[int]:
    """Track rows of any order; return the track of each row."""
    order = sorted(range(len(rows)), key=lambda i: rows[i][0])
    frame = np.array([rows[i][0] for i in order], np.intp)
    box = np.array([(x, y, x + WIDE, y + HIGH) for _, x, y, _ in (rows[i] for i in order)])
    chain = np.array([rows[i][3] for i in order], np.intp)
    time = np.arange(frame.max() + 1) * every
    score = np.array([doing[i] if doing else () for i in order], np.float64)
    found = track_people(time, box.reshape(-1, 4), score, frame, chain, max_gap + 1e-6, min_iou)
    track = dict(zip(order, found.tolist(), strict=True))
    return [track[i] for i in range(len(rows))]


def crossing(missed: tuple[int, ...] = (), frames: int = 25) -> list[Row]:
    """Two people at one height cross, each moving a body's width in a quarter of a second.

    They meet a quarter of the way from frame 12 to 13, where the box next to where each was last
    is the other's. `missed`: where the one who goes left is not found.
    """
    right = [at(f, 0.1 + 0.016 * f) for f in range(frames)]
    left = [at(f, 0.492 - 0.016 * f) for f in range(frames) if f not in missed]
    return right + left


@pytest.mark.parametrize("missed", [(), (12,), (12, 13), (11, 12, 13), tuple(range(9, 17))])
def test_motion_distinguishes_people_who_cross(missed: tuple[int, ...]) -> None:
    assert follow(crossing(missed)) == [0] * 25 + [1] * (25 - len(missed))


WALKS, WAVES = (0.8, 0.1), (0.1, 0.8)


@pytest.mark.parametrize("swapped", [False, True])
def test_actions_resolve_a_possible_swap(swapped: bool) -> None:
    # One a second at .30 and .40, then at .34 and .36: which is whose is seen by what they do,
    # not at first but at last.
    rows = [at(f, x) for f in range(3) for x in (0.30, 0.40)] + [at(3, 0.34), at(3, 0.36)]
    last = [WAVES, WALKS] if swapped else [WALKS, WAVES]
    tracks = follow(rows, every=1.0, doing=[WAVES, WALKS] + [WALKS, WAVES] * 2 + last)
    assert tracks[:6] == [0, 1] * 3
    assert tracks[6:] == ([1, 0] if swapped else [0, 1])
    # Who does nothing known is where it was.
    assert follow(rows, every=1.0, doing=[(0.0, 0.0)] * 8)[6:] == [0, 1]


def test_a_stationary_person_may_change_action() -> None:
    rows = [at(f, x) for f in range(4) for x in (0.30, 0.40)]
    assert follow(rows, every=1.0, doing=[WALKS, WAVES] * 3 + [WAVES, WALKS]) == [0, 1] * 4


def test_similar_actions_do_not_match_distant_boxes() -> None:
    rows = [at(f, 0.1) for f in range(3)] + [at(3, 0.9)]
    assert follow(rows, doing=[WALKS] * 4) == [0, 0, 0, 1]


def test_crossing_an_occluded_standing_person() -> None:
    walks = [at(f, 0.1 + 0.016 * f) for f in range(25)]
    stands = [at(f, 0.3) for f in range(25) if not 9 <= f <= 16]
    assert follow(walks + stands) == [0] * 25 + [1] * 17


def test_a_person_who_stops_while_unseen_matches_the_last_box() -> None:
    # Walks .4 a second to .3, is missed for half a second and has not moved; someone stands
    # near where its motion led.
    walks = [at(f, 0.108 + 0.016 * f) for f in range(13)] + [at(25, 0.3)]
    stands = [at(f, 0.38) for f in range(25)]
    assert follow(walks + stands) == [0] * 14 + [1] * 25


def test_a_queue_keeps_its_tracks_when_one_leaves_and_another_joins() -> None:
    queue = [at(f, x) for f in range(6) for x in (0.40, 0.33)]
    assert follow([*queue, at(6, 0.40), at(6, 0.47)]) == [0, 1] * 6 + [0, 2]
    assert follow([*queue, at(6, 0.47), at(6, 0.40)]) == [0, 1] * 6 + [2, 0]


def test_of_equally_near_tracks_the_recently_seen_one_matches() -> None:
    # Both seen six times; the one at .30 a second ago, the one at .38 in the last keyframe. The
    # older sight is the less certain, so that its grown box shares more.
    long_ago = [at(f, 0.30) for f in range(6)]
    lately = [at(f, 0.38) for f in (0, 6, 12, 18, 24, 29)]
    assert follow([*long_ago, *lately, at(30, 0.34)])[-1] == 1


def test_a_brief_false_detection_does_not_take_a_track() -> None:
    # IoU with the person .075 / .125 = .6, with the flash .085 / .115 = .74.
    person = [at(f, 0.40) for f in range(24)]
    assert follow([*person, at(23, 0.44), at(24, 0.425)])[-1] == 0


def test_without_overlap_the_nearest_box_matches() -> None:
    # A second later, .12 and .32 from each; what grown boxes share is all there is.
    rows = [at(0, 0.20), at(0, 0.40), at(1, 0.52), at(1, 0.08)]
    assert follow(rows, every=1) == [0, 1, 1, 0]


def test_a_fast_walker_keeps_its_track_when_others_come_and_go() -> None:
    # A second later .15 to the right: no overlap, but .425 / .725 of the grown boxes.
    rows = [at(0, 0.10, 0.6), at(0, 0.9, 0.0), at(1, 0.25, 0.6), at(1, 0.45, 0.0)]
    assert follow(rows, every=1) == [0, 1, 0, 2]


def test_padding_is_at_most_the_longer_side() -> None:
    # 1.8 s after one sight the spread is 1.6 sides. Grown by one, boxes are .7 by .9: .45 apart
    # they share .25 / 1.15 = .22, .48 apart .22 / 1.18 = .19.
    assert follow([at(0, 0.1), at(45, 0.55)]) == [0, 0]
    assert follow([at(0, 0.1), at(45, 0.58)]) == [0, 1]
    assert follow([at(0, 0.1), at(45, 0.55)], min_iou=0.25) == [0, 1]


def test_a_long_stationary_person_may_walk_off_unseen() -> None:
    stands = [at(f, 0.1) for f in range(100)]
    assert follow([*stands, at(140, 0.45)])[-1] == 0
    assert follow([*stands, at(100, 0.25)])[-1] == 1  # but not in one keyframe


def test_two_people_at_one_place_stay_two() -> None:
    rows = [at(f, 0.4) for f in range(5) for _ in range(2)]
    got = np.array(follow(rows)).reshape(5, 2)
    assert np.sort(got, 1).tolist() == [[0, 1]] * 5


def test_of_two_equal_tracks_one_matches_and_the_other_waits() -> None:
    rows = [at(0, 0.3), at(0, 0.5), at(1, 0.4), at(2, 0.3), at(2, 0.5)]
    got = follow(rows, min_iou=0.0)
    assert got[2] in (0, 1)
    assert sorted(got[3:]) == [0, 1]


@pytest.mark.parametrize(("missed", "track"), [(49, 0), (50, 1)])
def test_a_track_survives_max_gap(missed: int, track: int) -> None:
    assert follow([at(0, 0.1), at(missed + 1, 0.1)], max_gap=2.0)[-1] == track


def test_track_numbers_follow_first_appearance_and_are_not_reused() -> None:
    rows = [at(0, 0.8), at(0, 0.1), at(1, 0.1), at(2, 0.45), at(2, 0.1), at(60, 0.8)]
    assert follow(rows) == [0, 1, 1, 2, 1, 3]


def test_a_chain_continues_over_any_gap_and_distance() -> None:
    rows = [at(0, 0.1, 0.0, chain=4), at(1, 0.1, 0.0, chain=4), at(500, 0.8, 0.6, chain=4)]
    assert follow(rows) == [0, 0, 0]


def test_no_other_box_joins_the_track_of_an_active_chain() -> None:
    rows = [at(0, 0.1, chain=4), at(3, 0.1, chain=4)]
    loose = [at(1, 0.1), at(2, 0.1)]
    assert follow(rows + loose) == [0, 0, 1, 1]
    other = [at(1, 0.1, chain=7), at(2, 0.1, chain=7)]
    assert follow(rows + other) == [0, 0, 1, 1]
    # Nor does it where another chain is seen.
    elsewhere = [at(f, 0.8, chain=9) for f in range(4)]
    assert follow(rows + elsewhere + loose) == [0, 0, 1, 1, 1, 1, 2, 2]


def test_a_chain_keeps_its_track_next_to_a_better_matching_box() -> None:
    rows = [
        at(0, 0.10, chain=4),
        at(1, 0.15, chain=4),
        at(1, 0.10),
        at(2, 0.10),
        at(2, 0.2, 0.3, 4),
    ]
    assert follow(rows) == [0, 0, 1, 1, 0]


def test_before_and_after_a_chain_its_track_is_an_ordinary_one() -> None:
    # A box, a chain of three keyframes, a box, a chain: one person in one place.
    rows = [at(0, 0.1), *(at(f, 0.1, chain=0) for f in (1, 2, 3)), at(4, 0.1), at(5, 0.1, chain=1)]
    assert follow(rows) == [0] * 6


def test_boxes_without_chains_get_their_own_tracks_next_to_chains() -> None:
    chains = [at(f, x, chain=c) for f in range(4) for c, x in ((0, 0.1), (1, 0.5))]
    loose = [at(f, 0.8) for f in range(4)]
    assert follow(chains + loose) == [0, 1] * 4 + [2] * 4


def test_no_boxes() -> None:
    empty = np.zeros(0, np.intp)
    found = track_people(np.arange(3.0), np.zeros((0, 4)), np.zeros((0, 2)), empty, empty, 2, 0.2)
    assert found.tolist() == []


def test_overlaps() -> None:
    a = np.array([[0.0, 0, 2, 2], [0, 0, 0, 0]])
    b = np.array([[1.0, 0, 3, 2], [4, 0, 6, 2], [0, 0, 0, 0]])
    plain, grown = overlaps(a, b, np.array([1.0, 0]))
    assert plain == pytest.approx(np.array([[2 / 6, 0, 0], [0, 0, 0]]))
    # Grown by 1 all around, 4 by 4: 3 of 4 columns shared; touching at x = 3; 2 by 2 inside.
    assert grown[0] == pytest.approx([12 / 20, 0, 4 / 16])
    assert grown[1] == pytest.approx([0, 0, 0])
