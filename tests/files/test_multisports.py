import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.errors import AnnotationError
from stadkit.files import multisports
from stadkit.files.multisports import (
    read_frame_detections,
    read_tubes,
    write_frame_detections,
    write_tubes,
)
from stadkit.files.tube_truth import TubeTruth
from stadkit.instances import Instances
from stadkit.labels import Labels
from stadkit.tubes import Tubes

LABELS = Labels((1, 2), ("football shoot", "aerobic turn"))
TRUTH = TubeTruth(
    tubes=Tubes.empty(LABELS.names),
    sizes={"b": (100, 200), "a": (50, 100)},
    frames={"b": 40, "a": 9},
    rate=25.0,
    labels=LABELS,
)


def file(tmp_path: Path, data: Any) -> Path:
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(data, 4))
    return tmp_path / "f.pkl"


def found(*rows: Any) -> Any:
    return np.array(rows, np.float32).reshape(-1, 8)


def test_frame_detections_number_videos_by_the_list(tmp_path: Path) -> None:
    array = found([1, 3, 0, 0.5, 10, 5, 50, 25], [0, 1, 1, 0.25, 20, 10, 100, 50])
    claims = read_frame_detections(file(tmp_path, array), TRUTH)
    assert claims.videos == ("b", "a")
    assert claims.video.tolist() == [1, 0]
    assert claims.time.tolist() == [0.08, 0.0]
    assert claims.label.tolist() == [0, 1]
    assert claims.score.tolist() == [0.5, 0.25]
    assert claims.box.tolist() == [[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.5]]


def test_no_detections(tmp_path: Path) -> None:
    assert len(read_frame_detections(file(tmp_path, found()), TRUTH)) == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, r"got dict; wants an array \[n, 8\]"),
        (np.zeros((2, 7)), r"got \(2, 7\); wants"),
        (np.full((2, 8), "a"), "got an array of <U1"),
        (found([2, 1, 0, 0.5, 0, 0, 1, 1]), "row 0: video must be 0 to 1"),
        (found([0.5, 1, 0, 0.5, 0, 0, 1, 1]), "row 0: video must be 0 to 1"),
        (found([0, 0, 0, 0.5, 0, 0, 1, 1]), "row 0: frame must be an integer >= 1"),
        (found(*[[0, 1, 2, 0.5, 0, 0, 1, 1]] * 2), r"must be 0 to 1 \(2 invalid rows\)"),
        (found([0, 1, 0, np.nan, 0, 0, 1, 1]), "row 0: contains a non-finite number"),
    ],
)
def test_invalid_frame_detections_are_rejected(tmp_path: Path, data: Any, says: str) -> None:
    with pytest.raises(AnnotationError, match=rf"f[.]pkl: .*{says}"):
        read_frame_detections(file(tmp_path, data), TRUTH)


@given(count=st.integers(0, 9), seed=st.integers(0, 99))
def test_frame_detections_round_trip(tmp_path_factory: Any, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = (rng.random((count, 4)) * 90).astype(np.float32).astype(np.float64)
    video = rng.integers(0, 2, count).astype(np.int32)
    claims = Instances(
        videos=("b", "a"),
        video=video,
        time=rng.integers(0, 40, count) / 25,
        box=pixels / np.array([[200, 100] * 2, [100, 50] * 2], np.float64)[video],
        label=rng.integers(0, 2, count).astype(np.int32),
        score=rng.random(count).astype(np.float32).astype(np.float64),
        classes=LABELS.names,
    )
    path = tmp_path_factory.getbasetemp() / "dets.pkl"
    write_frame_detections(claims, TRUTH, path)
    back = read_frame_detections(path, TRUTH)
    for name in ("video", "time", "box", "label", "score"):
        np.testing.assert_array_equal(getattr(back, name), getattr(claims, name), name)


def test_videos_in_another_order_are_numbered_by_the_truth(tmp_path: Path) -> None:
    array = found([0, 1, 0, 0.5, 20, 10, 100, 50])
    claims = read_frame_detections(file(tmp_path, array), TRUTH)
    turned = Instances(
        ("a", "b"), 1 - claims.video, claims.time, claims.box, claims.label, claims.score,
        claims.classes,
    )  # fmt: skip
    write_frame_detections(turned, TRUTH, tmp_path / "again.pkl")
    back = read_frame_detections(tmp_path / "again.pkl", TRUTH)
    assert back.video.tolist() == [0]
    assert back.box.tolist() == [[0.1, 0.1, 0.5, 0.5]]


def rows(*frames: int) -> Any:
    return np.array([[f, 20, 10, 100, 50, 0.75] for f in frames], np.float32)


BY_LABEL = {1: [("b", np.float32(0.5), rows(2, 3))], np.int64(0): [("a", 0.25, rows(5))]}
BY_VIDEO = {"a": {0: [[rows(5), 0.25]]}, "b": {0: [], 1: [(rows(2, 3), np.array(0.5))]}}


@pytest.mark.parametrize("data", [BY_LABEL, BY_VIDEO])
def test_tubes_by_label_or_by_video(tmp_path: Path, data: Any) -> None:
    tubes = read_tubes(file(tmp_path, data), TRUTH)
    assert tubes.video.tolist() == ["a", "b"]
    assert tubes.label.tolist() == [0, 1]
    assert tubes.score.tolist() == [0.25, 0.5]
    assert tubes.time.tolist() == [0.16, 0.04, 0.08]
    assert tubes.box.tolist() == [[0.2, 0.2, 1, 1], [0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.5]]
    assert tubes.box_score.tolist() == [0.75] * 3


def test_tubes_of_a_folder(tmp_path: Path) -> None:
    for video, tubes in BY_VIDEO.items():
        (tmp_path / f"{video}_tubes.pkl").write_bytes(pickle.dumps(tubes))
    assert read_tubes(tmp_path, TRUTH).video.tolist() == ["b", "a"]
    (tmp_path / "a_tubes.pkl").unlink()
    with pytest.raises(AnnotationError, match=r"a_tubes[.]pkl: does not exist"):
        read_tubes(tmp_path, TRUTH)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "got a list; wants a dict of tubes by label"),
        ({0: 1}, "0 is not a label with a list"),
        ({0: [(rows(1), 0.5)]}, r"a tube is not \(video, score, array\)"),
        ({"a": {0: [rows(1)]}}, r"a tube is not \(array, score\)"),
        ({"a": [1]}, "a: wants a dict of tubes by label"),
        ({0: [("c", 0.5, rows(1))]}, "has tubes of video 'c', which is not in the truth.*'b'"),
        ({2: [("a", 0.5, rows(1))]}, "a, label 2: the label is not one"),
        ({0: [("a", "x", rows(1))]}, "score 'x' is not a number"),
        ({0: [("a", np.nan, rows(1))]}, "the score is not finite"),
        ({0: [("a", 0.5, rows(1)[:, :5])]}, "a, label 0: wants rows of frame.*score, got"),
        ({0: [("a", 0.5, rows(2, 1))] * 2}, r"frames must increase strictly.*\(2 such tubes\)"),
    ],
)
def test_invalid_tubes_are_rejected(tmp_path: Path, data: Any, says: str) -> None:
    with pytest.raises(AnnotationError, match=rf"f[.]pkl: .*{says}"):
        read_tubes(file(tmp_path, data), TRUTH)


def test_tubes_round_trip(tmp_path: Path) -> None:
    tubes = read_tubes(file(tmp_path, BY_LABEL), TRUTH)
    write_tubes(tubes, TRUTH, tmp_path / "again.pkl")
    back = read_tubes(tmp_path / "again.pkl", TRUTH)
    for name in ("video", "label", "score", "start", "time", "box", "box_score"):
        np.testing.assert_array_equal(getattr(back, name), getattr(tubes, name), name)
    none = Tubes.empty(LABELS.names)
    write_tubes(none, TRUTH, tmp_path / "none.pkl")
    assert len(read_tubes(tmp_path / "none.pkl", TRUTH)) == 0


def test_sports() -> None:
    classes = ("football shoot", "aerobic turn", "football throw")
    assert multisports.sports(classes) == {
        "football": ("football shoot", "football throw"),
        "aerobic": ("aerobic turn",),
    }
