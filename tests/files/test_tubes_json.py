import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.errors import AnnotationError
from stadkit.files.tubes_json import labels_of, read_tubes_json, write_tubes_json
from stadkit.labels import Labels
from stadkit.tubes import Tubes

LABELS = Labels((1, 9), ("stand", "wave"))
WHOLE = {
    "track": 4,
    "class_id": 9,
    "class": "wave",
    "score": 0.5,
    "start": 0.04,
    "end": 0.12,
    "times": [0.04, 0.12],
    "boxes": [[0.1, 0.2, 0.3, 0.4], [0.2, 0.2, 0.3, 0.4]],
    "scores": [0.25, 0.75],
    "interpolated": [False, True],
}


def file(tmp_path: Path, *tubes: Any, video: str = "v") -> Path:
    (tmp_path / "t.json").write_text(json.dumps({"videos": {video: list(tubes)}}))
    return tmp_path / "t.json"


@st.composite
def some_tubes(draw: st.DrawFn) -> Tubes:
    """Tubes at 25 frames a second, boxes of six decimals, scores of six digits."""
    lengths = draw(st.lists(st.integers(1, 4), max_size=5))
    n, t = len(lengths), sum(lengths)
    seed = np.random.default_rng(draw(st.integers(0, 99)))
    # By video: so they are written, and so they come back.
    video = np.sort(np.array(["a", "b/ü", "c.x"], np.str_)[seed.integers(0, 3, n)])
    frame = [np.sort(seed.choice(50, length, replace=False)) for length in lengths]
    return Tubes(
        video=video,
        label=seed.integers(0, 2, n).astype(np.int32),
        score=seed.random(n).round(6),
        track=seed.integers(-1, 4, n).astype(np.int32),
        start=np.cumsum([0, *lengths]).astype(np.int64),
        time=np.concatenate([np.zeros(0), *frame]) / 25,
        box=seed.random((t, 4)).round(6),
        box_score=seed.random(t).round(6),
        interpolated=seed.random(t) < 0.5,
        classes=LABELS.names,
    )


@given(tubes=some_tubes(), suffix=st.sampled_from([".json", ".json.gz"]))
def test_tubes_round_trip(tmp_path_factory: Any, tubes: Tubes, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"round{suffix}"
    write_tubes_json(tubes, LABELS, path)
    back = read_tubes_json(path, LABELS)
    assert back.classes == tubes.classes
    for name in ("video", "label", "score", "track", "start", "time", "box", "interpolated"):
        np.testing.assert_array_equal(getattr(back, name), getattr(tubes, name), name)
    np.testing.assert_array_equal(back.box_score, tubes.box_score)


def test_what_is_written(tmp_path: Path) -> None:
    tubes = read_tubes_json(file(tmp_path, WHOLE), LABELS)
    write_tubes_json(tubes, LABELS, tmp_path / "again.json", ("none", "v"))
    assert json.loads((tmp_path / "again.json").read_text()) == {
        "videos": {"none": [], "v": [WHOLE]}
    }


def test_minimal_tubes(tmp_path: Path) -> None:
    tube = {"class": "wave", "times": [1, 2], "boxes": [[0, 0, 1, 1]] * 2, "score": 0.5}
    tubes = read_tubes_json(file(tmp_path, tube), LABELS)
    assert (tubes.label.tolist(), tubes.track.tolist()) == ([1], [-1])
    assert tubes.box_score.tolist() == [0.5, 0.5]
    assert not tubes.interpolated.any()


def test_without_labels_the_classes_come_from_the_file(tmp_path: Path) -> None:
    other = {**WHOLE, "class_id": 3, "class": "sit"}
    path = file(tmp_path, WHOLE, other)
    assert labels_of(path) == Labels((3, 9), ("sit", "wave"))
    tubes = read_tubes_json(path)
    assert tubes.classes == ("sit", "wave")
    assert tubes.label.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"class_id": 2}, "v, tube 1: class 2"),
        ({"class_id": None, "class": "fly"}, "class 'fly'"),
        ({"class": "stand"}, "class 9 is 'stand' here, 'wave' in the labels"),
        ({"times": [0.2, 0.1]}, "Tubes.time does not increase"),
        ({"times": []}, "v, tube 1: "),
        ({"times": "ab"}, "v, tube 1: "),
        ({"boxes": [[0, 0, 1]] * 2}, "Tubes.box is"),
        ({"boxes": [[0, 0, 1, float("nan")]] * 2}, "Tubes.box must be finite"),
        ({"scores": [1]}, "Tubes.box_score is"),
        ({"track": 1 << 40}, "v, tube 1: "),
    ],
)
def test_an_invalid_tube_is_named(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = file(tmp_path, WHOLE, {**WHOLE, **change})
    with pytest.raises(AnnotationError) as caught:
        read_tubes_json(path, LABELS)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}: v, tube 1: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "t.json:1: "),
        ('{"videos":\n {"v": [}}', "t.json:2: "),
        ("[]", 'wants {"videos"'),
        ('{"videos": []}', 'wants {"videos"'),
        ('{"videos": {"v": 1}}', "v: wants a list of tubes"),
        ('{"videos": {"v": [1]}}', "v, tube 0: wants an object, got '1'"),
        ('{"videos": {"v": [{"class_id": 9}]}}', "v, tube 0: 'times' is missing"),
    ],
)
def test_an_invalid_file_is_reported_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(AnnotationError) as caught:
        read_tubes_json(tmp_path / "t.json", LABELS)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pixels_are_reported(tmp_path: Path) -> None:
    pixels = {**WHOLE, "boxes": [[10, 20, 30, 40.0]] * 2}
    with pytest.raises(AnnotationError, match="boxes reach 40 and look like pixels"):
        read_tubes_json(file(tmp_path, pixels), LABELS)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="does not exist"):
        read_tubes_json(tmp_path / "none.json")


def test_conflicting_names_without_labels(tmp_path: Path) -> None:
    with pytest.raises(
        AnnotationError, match="tube 1: class 9 is 'sit' here, 'wave' in an earlier tube"
    ):
        read_tubes_json(file(tmp_path, WHOLE, {**WHOLE, "class": "sit"}))


def test_two_boxes_in_a_millisecond_are_rejected(tmp_path: Path) -> None:
    tubes = read_tubes_json(file(tmp_path, {**WHOLE, "times": [1.0001, 1.0002]}), LABELS)
    with pytest.raises(ValueError, match="two boxes in one millisecond"):
        write_tubes_json(tubes, LABELS, tmp_path / "out.json")
