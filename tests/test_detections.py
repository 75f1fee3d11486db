"""The table rejects every column that violates its documentation."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from stadkit.detections import (
    Detections,
    Keyframes,
    milliseconds,
    number_frames,
    rows_by_keyframe,
)

NAN = float("nan")


def table(n: int = 3, classes: tuple[str, ...] = ("sit", "stand")) -> Detections:
    return Detections(
        video=np.array([f"v{i}" for i in range(n)], np.str_),
        time=np.arange(n, dtype=np.float64),
        box=np.tile(np.array([[0.1, 0.2, 0.5, 0.9]], np.float32), (n, 1)),
        person=np.full(n, 0.5, np.float32),
        action=np.zeros((n, len(classes)), np.float32),
        track=np.full(n, -1, np.int32),
        classes=classes,
    )


def at(*frames: tuple[str, float]) -> Detections:
    videos, times = [v for v, _ in frames], [t for _, t in frames]
    return replace(table(len(frames)), video=np.array(videos), time=np.array(times, np.float64))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("video", np.array([1, 2, 3]), "video holds int64, wants text"),
        ("video", np.array(["a", "b", "c"], object), "video holds object, wants text"),
        ("time", [0.0, 1.0, 2.0], "time is a list, wants a NumPy array"),
        ("time", np.zeros(3, np.float32), "time holds float32, wants float64"),
        ("time", np.zeros(2), r"time has shape \(2,\), wants \(3,\)"),
        ("time", np.array([0.0, NAN, 1.0]), "time is not finite in row 1"),
        ("box", np.zeros((3, 5), np.float32), r"box has shape \(3, 5\), wants \(3, 4\)"),
        ("box", np.zeros((3, 4)), "box holds float64, wants float32"),
        ("box", np.full((3, 4), np.inf, np.float32), "box is not finite in row 0"),
        ("person", np.array([0, 1, 1.5], np.float32), "person is outside 0..1 in row 2"),
        ("person", np.zeros((3, 1), np.float32), "person has shape"),
        ("action", np.zeros((3, 3), np.float32), r"action has shape \(3, 3\), wants \(3, 2\)"),
        ("action", np.full((3, 2), -0.1, np.float32), "action is outside 0..1 in row 0"),
        ("track", np.zeros(3), "track holds float64, wants int32"),
    ],
)
def test_invalid_columns_are_rejected(column: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"Detections\.{message}"):
        replace(table(), **{column: value})


def test_nan_means_not_scored() -> None:
    unscored = np.full((3, 2), NAN, np.float32)
    got = replace(table(), action=unscored, person=unscored[:, 0])
    assert np.isnan(got.action).all()
    assert np.isnan(got.person).all()


def test_a_table_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        table().track = np.zeros(3, np.int32)  # type: ignore[misc]


def test_empty() -> None:
    empty = Detections.empty(("sit",))
    assert len(empty) == 0
    assert empty.action.shape == (0, 1)
    assert empty.box.shape == (0, 4)


def test_join_keeps_order_and_longest_name() -> None:
    joined = Detections.join([at(("a", 1)), at(("longer", 2), ("b", 3))], ("sit", "stand"))
    assert joined.video.tolist() == ["a", "longer", "b"]
    assert joined.time.tolist() == [1, 2, 3]


def test_join_of_no_tables_is_empty() -> None:
    assert len(Detections.join([], ("sit",))) == 0


def test_join_rejects_different_classes() -> None:
    with pytest.raises(ValueError, match="classes differ"):
        Detections.join([table()], ("stand", "sit"))


def test_select_by_mask_and_by_index() -> None:
    rows = at(("a", 0), ("b", 1), ("c", 2))
    assert rows.select(np.array([True, False, True])).video.tolist() == ["a", "c"]
    assert rows.select(np.array([2, 0, 0])).video.tolist() == ["c", "a", "a"]
    assert len(rows.select(np.zeros(0, np.int64))) == 0


def test_with_track_gives_a_new_table() -> None:
    before = table()
    after = before.with_track(np.array([4, 5, 6], np.int32))
    assert after.track.tolist() == [4, 5, 6]
    assert before.track.tolist() == [-1, -1, -1]


def test_to_pandas() -> None:
    frame = replace(table(1), track=np.array([7], np.int32)).to_pandas()
    want = ["video", "time", "x1", "y1", "x2", "y2", "person", "track", "sit", "stand"]
    assert list(frame.columns) == want
    assert frame.loc[0, "track"] == 7
    assert frame.loc[0, "y2"] == np.float32(0.9)


def test_milliseconds_round() -> None:
    times = np.array([0.0, 0.0004, 0.0006, 902.04, 1 / 30, -0.2])
    assert milliseconds(times).tolist() == [0, 0, 1, 902040, 33, -200]


def test_keyframes_are_unique_and_sorted() -> None:
    keyframes = Keyframes.of(at(("b", 1), ("a", 2), ("b", 1.0002), ("a", 0.5), ("a", 2)))
    assert keyframes.video.tolist() == ["a", "a", "b"]
    assert keyframes.time.tolist() == [0.5, 2, 1]
    assert len(keyframes) == 3


def test_keyframes_of_an_empty_table() -> None:
    assert len(Keyframes.of(Detections.empty(()))) == 0


@pytest.mark.parametrize(
    ("video", "time", "message"),
    [
        (np.array(["a"]), np.zeros(2), "time has shape"),
        (np.array([1]), np.zeros(1), "video holds int64"),
        (np.array(["a"]), np.array([np.inf]), "time is not finite in row 0"),
    ],
)
def test_invalid_keyframes_are_rejected(video: Any, time: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"Keyframes\.{message}"):
        Keyframes(video, time)


def test_frames_have_the_same_number_in_all_tables() -> None:
    found = at(("b", 1), ("a", 1), ("b", 0.5))
    seen = Keyframes(np.array(["a", "b", "longer"]), np.array([1.0004, 1, 1]))
    ours, theirs = number_frames(found, seen)
    assert ours[0] == theirs[1]
    assert ours[1] == theirs[0]
    assert len({*ours.tolist(), *theirs.tolist()}) == 4
    assert ours[1] < ours[2] < ours[0] < theirs[2]  # by video, then time


def test_number_frames_survives_far_times() -> None:
    (numbers,) = number_frames(at(("a", -1e9), ("b", 1e12), ("a", 1e12)))
    assert len(set(numbers.tolist())) == 3


def test_rows_by_keyframe() -> None:
    rows = rows_by_keyframe(at(("b", 1.0), ("a", 2.0), ("b", 1.0004), ("b", 2.0)))
    assert rows == {("b", 1000): [0, 2], ("a", 2000): [1], ("b", 2000): [3]}
