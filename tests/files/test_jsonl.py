"""Keyframes as JSON lines: round trips, and faults by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.detections import Detections, Keyframes
from stadkit.errors import AnnotationError
from stadkit.files.jsonl import read_jsonl, read_jsonl_keyframes, write_jsonl
from stadkit.labels import Labels

LABELS = Labels((3, 7), ("wave", "sit"))
WAVE = {"id": 3, "name": "wave", "score": 0.5}
PERSON: dict[str, Any] = {"box": [0.1, 0.2, 0.3, 0.4], "score": 0.8, "track": 2, "actions": [WAVE]}


def file(folder: Path, *lines: Any) -> Path:
    path = folder / "a.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def keyframe(time: float, *people: Any) -> dict[str, Any]:
    return {"video": "a", "time": time, "people": list(people)}


def person(**changed: Any) -> dict[str, Any]:
    return {**PERSON, **changed}


def test_people_and_empty_keyframes(tmp_path: Path) -> None:
    empty = person(score=None, actions=[])
    path = file(tmp_path, keyframe(0), keyframe(1.5, PERSON, empty), keyframe(2))
    table, looked = read_jsonl(path, LABELS)
    assert looked.video.tolist() == ["a", "a", "a"]
    assert looked.time.tolist() == [0, 1.5, 2]
    assert table.time.tolist() == [1.5, 1.5]
    np.testing.assert_array_equal(table.box[0], np.array([0.1, 0.2, 0.3, 0.4], np.float32))
    np.testing.assert_array_equal(table.person, np.array([0.8, np.nan], np.float32))
    np.testing.assert_array_equal(table.action, [[0.5, np.nan], [np.nan, np.nan]])
    assert table.track.tolist() == [2, 2]
    assert table.classes == LABELS.names
    alone = read_jsonl_keyframes(path)
    assert alone.time.tolist() == [0, 1.5, 2]


@given(seed=st.integers(0, 99), count=st.integers(0, 6), suffix=st.sampled_from(["", ".gz"]))
def test_round_trip(tmp_path_factory: Any, seed: int, count: int, suffix: str) -> None:
    rng = np.random.default_rng(seed)
    action = rng.random((count, 2)).round(5).astype(np.float32)
    table = Detections(
        video=np.full(count, "ü,b"),
        time=np.sort(rng.integers(0, 4, count)) / 4,
        box=rng.random((count, 4)).round(5).astype(np.float32),
        person=rng.random(count).round(5).astype(np.float32),
        action=np.where(action < 0.3, np.float32(np.nan), action),
        track=rng.integers(-1, 3, count).astype(np.int32),
        classes=LABELS.names,
    )
    looked = Keyframes(np.full(4, "ü,b"), np.arange(4) / 4)
    path = tmp_path_factory.getbasetemp() / f"round.jsonl{suffix}"
    write_jsonl(table, looked, LABELS, path)
    again, times = read_jsonl(path, LABELS)
    assert times.time.tolist() == looked.time.tolist()
    for column in ("video", "time", "box", "person", "action", "track"):
        np.testing.assert_array_equal(getattr(again, column), getattr(table, column))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"video": "a", "people": []}, "'time' is missing"),
        ({"video": 3, "time": 0, "people": []}, "video is 3, wants a name"),
        (keyframe(float("nan")), "time is NaN, wants a number"),
        (keyframe(0, person(box=[0, 0, 1])), "box is [0, 0, 1], wants x1, y1, x2, y2"),
        (keyframe(0, person(score=1.5)), "score is 1.5, wants a number from 0 to 1"),
        (keyframe(0, person(track=0.5)), "track is 0.5, wants an integer"),
        (keyframe(0, person(actions=[{"id": 3}])), "'score' is missing"),
        (
            keyframe(0, person(actions=[{**WAVE, "name": "run"}])),
            "action 3 is 'run' here, 'wave' in the labels; pass its own with --labels",
        ),
        ([1], "wants an object of video, time and people"),
        ({"video": "a", "time": 0, "people": None}, "people is null, wants a list"),
        ({"video": "a", "time": True, "people": []}, "time is true, wants a number"),
        (keyframe(0, 7), "people contains 7, wants objects"),
        (keyframe(0, person(actions=None)), "actions is null, wants a list"),
        (keyframe(0, person(actions=["wave"])), 'actions contains "wave", wants objects'),
        (keyframe(0, person(box=[True, 0, 1, 1])), "box is true, wants a number"),
        (keyframe(0, person(score=True)), "score is true, wants a number from 0 to 1"),
        (keyframe(0, person(track=True)), "track is true, wants an integer >= -1"),
        (keyframe(0, person(track=2**31)), "track is 2147483648, wants an integer"),
        (keyframe(0, person(actions=[{**WAVE, "id": True}])), "id is true, wants an integer"),
        (keyframe(0, person(actions=[{**WAVE, "id": [3]}])), "id is [3], wants an integer"),
        (keyframe(0, person(actions=[{**WAVE, "id": "3"}])), 'id is "3", wants an integer'),
        (
            keyframe(0, person(actions={"waving with both hands above the head": 0.5})),
            'actions is {"waving with both hands above the he..., wants a list',
        ),
    ],
)
def test_an_invalid_line_is_named(line: Any, message: str, tmp_path: Path) -> None:
    path = file(tmp_path, keyframe(0, PERSON), line)
    with pytest.raises(AnnotationError) as caught:
        read_jsonl(path, LABELS)
    assert str(caught.value).startswith(f"{path}:2: {message}")


def test_a_truncated_line(tmp_path: Path) -> None:
    path = file(tmp_path, keyframe(0, PERSON))
    path.write_text(path.read_text() + '{"video": "a", "ti')
    with pytest.raises(AnnotationError, match=r"a\.jsonl:2: .*check whether the file is truncated"):
        read_jsonl(path, LABELS)


def test_unknown_actions_are_skipped_unless_all_are_unknown(tmp_path: Path) -> None:
    other = {"id": 9, "name": "run", "score": 0.9}
    table, _ = read_jsonl(file(tmp_path, keyframe(0, person(actions=[other, WAVE]))), LABELS)
    np.testing.assert_array_equal(table.action, [[0.5, np.nan]])
    with pytest.raises(AnnotationError, match=r"its action ids \(9\) are not in the label"):
        read_jsonl(file(tmp_path, keyframe(0, person(actions=[other]))), LABELS)


def test_boxes_in_pixels_are_rejected(tmp_path: Path) -> None:
    pixels, far = person(box=[32, 48, 96, 192]), person(box=[0, 0, 1, 2.5])
    with pytest.raises(
        AnnotationError, match=r"a\.jsonl: boxes reach 192 and look like pixels; divide x"
    ):
        read_jsonl(file(tmp_path, keyframe(0, pixels, pixels, PERSON)), LABELS)
    table, _ = read_jsonl(file(tmp_path, keyframe(0, PERSON, far, PERSON)), LABELS)
    assert len(table) == 3


def test_an_empty_file_has_no_keyframes(tmp_path: Path) -> None:
    table, looked = read_jsonl(file(tmp_path), LABELS)
    assert (len(table), len(looked)) == (0, 0)
