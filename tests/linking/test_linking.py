"""Tracks and tubes on small scenes worked by hand, and invariants of any scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stadkit.detections import Detections, Keyframes
from stadkit.errors import UsageError
from stadkit.linking import METHODS, LinkOptions, link, link_by

NAN = float("nan")
Row = tuple[float, float, float, tuple[float, ...]]  # time, left, top, scores of the classes
WIDE, HIGH = 0.1, 0.3
PLAIN = LinkOptions(smooth=0, smooth_scores=0)


def table(
    *rows: Row, video: str = "a", classes: int = 1, track: list[int] | None = None
) -> Detections:
    n = len(rows)
    box = [(x, y, x + WIDE, y + HIGH) for _, x, y, _ in rows]
    return Detections(
        video=np.full(n, video),
        time=np.array([row[0] for row in rows], np.float64),
        box=np.array(box, np.float32).reshape(n, 4),
        person=np.full(n, 0.9, np.float32),
        action=np.array([row[3] for row in rows], np.float32).reshape(n, classes),
        track=np.array(track if track is not None else [-1] * n, np.int32),
        classes=tuple(f"class {c}" for c in range(classes)),
    )


def times(count: int, every: float = 0.2, video: str = "a") -> Keyframes:
    return Keyframes(np.full(count, video), np.arange(count) * every)


def tracks(found: Detections, keyframes: Keyframes | None = None) -> list[int]:
    return link(found, keyframes, PLAIN).found.track.tolist()


def test_two_people_stay_two() -> None:
    rows = [(t / 5, x, 0.1, (0.9,)) for t in range(5) for x in (0.1, 0.6)]
    assert tracks(table(*rows)) == [0, 1] * 5


def test_people_who_cross_keep_their_direction() -> None:
    # Ten keyframes a second, a body's width in a half; at the middle they stand in one place.
    steps = np.arange(11) / 10
    left = [(t, 0.1 + 0.4 * t, 0.30, (0.9,)) for t in steps.tolist()]
    right = [(t, 0.5 - 0.4 * t, 0.33, (0.9,)) for t in steps.tolist()]
    found = table(*left, *right)
    got = link(found, None, replace(PLAIN, merge_iou=1.0)).found.track
    assert len(set(got[:11].tolist())) == 1
    assert len(set(got[11:].tolist())) == 1
    assert got[0] != got[11]


def test_a_walker_a_second_apart_is_one_person() -> None:
    """At 1 keyframe a second, boxes of a walker need not overlap."""
    assert tracks(table(*[(float(t), 0.1 + 0.15 * t, 0.3, (0.9,)) for t in range(5)])) == [0] * 5


def test_tracks_do_not_jump_across_the_frame() -> None:
    assert tracks(table((0, 0.0, 0.0, (0.9,)), (0.2, 0.8, 0.6, (0.9,)))) == [0, 1]


def test_a_gap_is_bridged_and_marked() -> None:
    rows = [(t / 5, 0.1 + 0.02 * t, 0.3, (0.8,)) for t in range(10) if t not in (4, 5)]
    linked = link(table(*rows), times(10), PLAIN)
    assert linked.found.track.tolist() == [0] * 8
    assert len(linked.tubes) == 1
    assert linked.tubes.time.tolist() == pytest.approx([t / 5 for t in range(10)])
    assert np.flatnonzero(linked.tubes.interpolated).tolist() == [4, 5]
    assert linked.tubes.box[:, 0] == pytest.approx(0.1 + 0.02 * np.arange(10), abs=1e-6)
    # Eight detections of .8: their mean, times 8 / 9.
    assert linked.tubes.score[0] == pytest.approx(0.8 * 8 / 9)


def test_without_keyframes_gaps_are_not_filled() -> None:
    rows = [(t / 5, 0.1, 0.3, (0.8,)) for t in (0, 1, 4, 5)]
    tubes = link(table(*rows), None, PLAIN).tubes
    assert tubes.time.tolist() == pytest.approx([0, 0.2, 0.8, 1.0])
    assert not tubes.interpolated.any()


def test_a_long_absence_is_one_person_and_two_tubes() -> None:
    rows = [(t / 5, 0.1, 0.3, (0.8,)) for t in (*range(5), *range(13, 18))]
    linked = link(table(*rows), times(18), PLAIN)
    assert linked.found.track.tolist() == [0] * 10
    assert linked.tubes.start.tolist() == [0, 5, 10]
    assert not linked.tubes.interpolated.any()
    assert link(table(*rows), times(18), replace(PLAIN, max_gap=1.5)).found.track[-1] == 1


def test_births_and_deaths() -> None:
    first = [(t / 5, 0.1, 0.3, (0.9,)) for t in range(4)]
    second = [(t / 5, 0.7, 0.3, (0.9,)) for t in range(3, 8)]
    tubes = link(table(*first, *second), times(8), PLAIN).tubes
    ends = [
        (tubes.time[a], tubes.time[b - 1])
        for a, b in zip(tubes.start, tubes.start[1:], strict=False)
    ]
    assert np.array(ends) == pytest.approx(np.array([(0, 0.6), (0.6, 1.4)]))


def test_one_person_does_three_things() -> None:
    """Walking, then standing, waving meanwhile: three tubes on one track."""
    rows = []
    for t in range(30):
        walks, waves = t < 15, 10 <= t < 20
        rows.append((t / 10, 0.1, 0.3, (0.9 * walks, 0.9 * (not walks), 0.7 * waves)))
    tubes = link(table(*rows, classes=3), None, PLAIN).tubes
    assert tubes.track.tolist() == [0, 0, 0]
    got = {
        int(c): (round(float(tubes.time[a]), 3), round(float(tubes.time[b - 1]), 3))
        for c, a, b in zip(tubes.label, tubes.start[:-1], tubes.start[1:], strict=True)
    }
    assert got == {0: (0.0, 1.4), 1: (1.5, 2.9), 2: (1.0, 1.9)}


def test_a_flicker_neither_starts_nor_ends_an_action() -> None:
    score = [0.1] * 10 + [0.9] * 10 + [0.1] + [0.9] * 10 + [0.1] * 5
    rows = [(t / 25, 0.1, 0.3, (s,)) for t, s in enumerate(score)]
    tubes = link(table(*rows), None, PLAIN).tubes
    assert np.diff(tubes.start).tolist() == [21]
    blink = [(t / 25, 0.1, 0.3, (0.9 if t == 20 else 0.6 * (t < 10),)) for t in range(40)]
    assert np.diff(link(table(*blink), None, PLAIN).tubes.start).tolist() == [10]


def test_boxes_of_one_person_are_one() -> None:
    """Two boxes per keyframe of one person, one per class: one track, both scores."""
    rows = []
    for t in range(5):
        rows += [(t / 5, 0.1, 0.30, (0.9, NAN)), (t / 5, 0.105, 0.31, (NAN, 0.6))]
    linked = link(table(*rows, classes=2), None, PLAIN)
    assert linked.found.track.tolist() == [0] * 10
    assert linked.tubes.label.tolist() == [0, 1]
    assert linked.tubes.box[:, 0] == pytest.approx(0.1)


def test_tubelets_that_overlap_are_one_person() -> None:
    """Three tubelets of four frames, two frames apart, and another person's tubelet."""
    rows, number = [], []
    for k, begin in enumerate((0, 2, 4)):
        for t in range(begin, begin + 4):
            rows.append((t / 5, 0.1 + 0.01 * t, 0.3 + 0.01 * k, (0.9,)))
            number.append(k)
    rows += [(t / 5, 0.6, 0.3, (0.9,)) for t in range(4)]
    number += [7] * 4
    linked = link(table(*rows, track=number), None, PLAIN)
    assert linked.found.track.tolist() == [0] * 12 + [1] * 4
    assert np.diff(linked.tubes.start).tolist() == [8, 4]
    # Frame 2 is covered by two tubelets, .01 apart in height.
    assert linked.tubes.box[2, 1] == pytest.approx(0.305)


def test_a_single_box_joins_a_tubelet_at_any_score() -> None:
    rows = [(t / 5, 0.1, 0.3, (0.9,)) for t in (0, 1, 2, 3, 4, 2)]
    found = table(*rows, track=[0] * 5 + [-1])
    sure = replace(found, person=np.float32([0.9] * 5 + [0.99]))
    linked = link(sure, None, PLAIN)
    assert linked.found.track.tolist() == [0] * 6
    assert np.diff(linked.tubes.start).tolist() == [5]


def test_a_tubelet_within_another_does_not_end_it() -> None:
    spans = [(0, 10), (2, 5), (6, 14)]
    rows = [(t / 5, 0.1, 0.3, (0.9,)) for begin, end in spans for t in range(begin, end)]
    number = [k for k, (begin, end) in enumerate(spans) for _ in range(begin, end)]
    linked = link(table(*rows, track=number), None, PLAIN)
    assert set(linked.found.track.tolist()) == {0}
    assert np.diff(linked.tubes.start).tolist() == [14]


def test_distant_people_do_not_affect_a_match() -> None:
    rows = [(0.0, 0.1, 0.6, (0.9,)), (3.0, 0.25, 0.6, (0.9,))]
    assert tracks(table(*rows), times(4, 1.0)) == [0, 0]
    rows += [(0.0, 0.9, 0.0, (0.9,)), (3.0, 0.45, 0.0, (0.9,))]
    got = tracks(table(*rows), times(4, 1.0))
    assert got[0] == got[1]


def test_empty_and_minimal_inputs() -> None:
    nothing = link(Detections.empty(("a",)), times(3))
    assert (len(nothing.found), len(nothing.tubes)) == (0, 0)
    assert nothing.tubes.classes == ("a",)
    once = link(table((3.0, 0.1, 0.1, (0.5,))), None, PLAIN).tubes
    assert once.time.tolist() == [3.0]
    assert once.score.tolist() == pytest.approx([0.25])
    assert not len(link(table((3.0, 0.1, 0.1, (NAN,)))).tubes)


def test_a_video_without_detections() -> None:
    a, c = table((0, 0.1, 0.1, (0.9,)), video="a"), table((0, 0.1, 0.1, (0.9,)), video="c")
    both = Detections.join([c, a], a.classes)
    looked = [times(4, video=video) for video in "abc"]
    keyframes = Keyframes(
        np.concatenate([k.video for k in looked]), np.concatenate([k.time for k in looked])
    )
    linked = link(both, keyframes, PLAIN)
    assert linked.found.track.tolist() == [0, 0]
    assert linked.tubes.video.tolist() == ["a", "c"]


def test_invalid_options_are_rejected() -> None:
    with pytest.raises(UsageError, match="min_iou is 2; wants 0 to 1"):
        LinkOptions(min_iou=2)
    with pytest.raises(UsageError, match="max_gap is -1; wants seconds, 0 or more"):
        LinkOptions(max_gap=-1)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_links_an_easy_scene(method: str) -> None:
    rows = [(t / 25, 0.1 + 0.001 * t, 0.3, (0.9,)) for t in range(30)]
    linked = link_by(method, table(*rows), times(30, 1 / 25), rate=25, sizes={"a": (240, 320)})
    assert np.diff(linked.tubes.start).tolist() == [30]
    assert (linked.found.track >= 0).all() == (method == "track")


def test_unknown_methods_and_sizes() -> None:
    found = table((0, 0.1, 0.1, (0.9,)))
    with pytest.raises(UsageError, match="wants one of track, act, mmaction2, viterbi"):
        link_by("sort", found)
    with pytest.raises(UsageError, match=r"no width and height for video .a."):
        link_by("act", found, sizes={"b": (1, 1)})


places = st.floats(0, 0.625, width=32)
scenes = st.lists(
    st.tuples(st.integers(0, 12), places, places, st.floats(0, 1, width=32)), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(scenes, st.randoms(use_true_random=False), st.booleans())
def test_invariants_of_any_scene(
    scene: list[tuple[int, float, float, float]], random: object, tubelets: bool
) -> None:
    rows = [(t / 5, x, y, (s,)) for t, x, y, s in scene]
    number = [i // 3 for i in range(len(rows))] if tubelets else None
    found = table(*rows, track=number)
    linked = link(found)
    tubes = linked.tubes
    # One person a keyframe and track, but for boxes that tell of the same one.
    assert (linked.found.track >= 0).all()
    sights = set(zip(linked.found.track.tolist(), np.rint(found.time * 1000).tolist(), strict=True))
    for i in range(len(tubes)):
        part = slice(tubes.start[i], tubes.start[i + 1])
        assert (np.diff(tubes.time[part]) > 0).all()
        seen = tubes.time[part][~tubes.interpolated[part]]
        assert {(int(tubes.track[i]), t) for t in np.rint(seen * 1000).tolist()} <= sights
        mine = found.time[linked.found.track == tubes.track[i]]
        assert mine.min() - 1e-9 <= tubes.time[part][0] <= tubes.time[part][-1] <= mine.max() + 1e-9
    assert (tubes.score >= 0).all()
    assert (tubes.score <= 1).all()
    order = np.arange(len(found))
    random.shuffle(order)  # type: ignore[attr-defined]
    again = link(found.select(order))
    assert again.found.track.tolist() == linked.found.track[order].tolist()
    for name in ("video", "label", "score", "track", "start", "time", "box"):
        np.testing.assert_array_equal(getattr(again.tubes, name), getattr(tubes, name))
