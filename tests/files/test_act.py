import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.errors import AnnotationError, UsageError
from stadkit.files import act, jhmdb
from stadkit.files.tube_truth import TubeTruth, frame_instances
from stadkit.labels import Labels
from stadkit.tubes import Tubes


def rows(*frames: int) -> Any:
    """A tube whose boxes are 32, 24 to 160, 120 pixels: .1 .1 .5 .5 of 320 x 240."""
    return np.array([[f, 32, 24, 160, 120] for f in frames], np.float32)


def gt() -> dict[str, Any]:
    return {
        "labels": ["Basketball", "Biking"],
        "gttubes": {
            "b/two": {1: [rows(3, 4), rows(7)], 0: [rows(1)]},
            "b/one": {0: [rows(1, 2)]},
            "t/train": {1: [rows(1)]},
        },
        "nframes": {"b/two": 8, "b/one": 3, "b/none": 2, "t/train": 1},
        "resolution": dict.fromkeys(("b/two", "b/one", "b/none", "t/train"), (240, 320)),
        "train_videos": [["t/train"], []],
        "test_videos": [["b/two", "b/none", "b/one"], ["b/one"]],
    }


def file(tmp_path: Path, data: Any, protocol: int = 2) -> Path:
    (tmp_path / "GT.pkl").write_bytes(pickle.dumps(data, protocol))
    return tmp_path / "GT.pkl"


def test_truth_in_seconds_and_fractions(tmp_path: Path) -> None:
    truth = act.read_gt(file(tmp_path, gt()))
    assert truth.labels == Labels((1, 2), ("Basketball", "Biking"))
    assert truth.videos == ("b/two", "b/none", "b/one")
    assert truth.frames == {"b/two": 8, "b/none": 2, "b/one": 3}
    assert truth.sizes["b/one"] == (240, 320)
    tubes = truth.tubes
    assert tubes.video.tolist() == ["b/two", "b/two", "b/two", "b/one"]
    assert tubes.label.tolist() == [0, 1, 1, 0]
    assert tubes.start.tolist() == [0, 1, 3, 4, 6]
    assert tubes.time.tolist() == [0, 0.08, 0.12, 0.24, 0, 0.04]
    assert tubes.box.tolist() == [[0.1, 0.1, 0.5, 0.5]] * 6
    assert tubes.score.tolist() == [1.0] * 4


def test_splits_and_parts(tmp_path: Path) -> None:
    path = file(tmp_path, gt())
    assert act.read_gt(path, 1).videos == ("b/one",)
    assert act.read_gt(path, 0, "train").videos == ("t/train",)
    assert act.read_gt(path, 0, "all").videos == ("t/train", "b/two", "b/none", "b/one")
    with pytest.raises(UsageError, match="no split 2; the file has 0 to 1"):
        act.read_gt(path, 2)
    with pytest.raises(UsageError, match="unknown part of a split 'val'"):
        act.read_gt(path, 0, "val")


def test_one_split_may_be_a_plain_list(tmp_path: Path) -> None:
    data = {**gt(), "test_videos": ["b/one"]}
    assert act.read_gt(file(tmp_path, data)).videos == ("b/one",)


def test_every_frame_is_a_keyframe_even_without_boxes(tmp_path: Path) -> None:
    frames = act.read_gt(file(tmp_path, gt()), rate=10.0).keyframes()
    assert len(frames) == 13
    assert frames.video.tolist()[8:] == ["b/none"] * 2 + ["b/one"] * 3
    assert frames.time.tolist()[8:] == [0, 0.1, 0, 0.1, 0.2]


def test_frame_instances_are_the_boxes(tmp_path: Path) -> None:
    claims = frame_instances(act.read_gt(file(tmp_path, gt())).tubes)
    assert [claims.videos[v] for v in claims.video] == ["b/two"] * 4 + ["b/one"] * 2
    assert claims.label.tolist() == [0, 1, 1, 1, 0, 0]
    assert claims.time.tolist() == [0, 0.08, 0.12, 0.24, 0, 0.04]
    assert claims.score.tolist() == [1.0] * 6


def changed(**change: Any) -> dict[str, Any]:
    return {**gt(), **change}


def with_tube(tube: Any, label: Any = 0) -> dict[str, Any]:
    return changed(gttubes={"b/one": {label: [tube]}})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([1], "not a GT.pkl: contains list"),
        ({"labels": []}, "not a GT.pkl: gttubes, nframes, .* missing; it has 'labels'"),
        (changed(labels=["a", "a"]), "labels is not a list of names"),
        (changed(labels=3), "labels is not a list of names"),
        (changed(nframes={}), "nframes has no count for b/two"),
        (changed(resolution={"b/two": (240,)}), "resolution has no height and width for b/two"),
        (changed(gttubes={"b/one": [rows(1)]}), "b/one: wants a dict of tubes"),
        (changed(test_videos=7), "test_videos is not a list"),
        (with_tube(rows(1)[:, :4]), r"b/one, label 0: wants rows of frame.* got .*\(1, 4\)"),
        (with_tube(rows()), "b/one, label 0: wants rows"),
        (with_tube(np.array([["a"] * 5], object)), "contains non-numeric values"),
        (with_tube(rows(1), 2), "b/one, label 2: the label is not one"),
        (with_tube(rows(1), "a"), "b/one: 'a' is not a label"),
        (with_tube(rows(0, 1)), "frames must be integers >= 1"),
        (with_tube(rows(1) + np.float32(0.5)), "frames must be integers >= 1"),
        (with_tube(rows(2, 2)), "frames must increase strictly"),
        (with_tube(rows(2, 1)), "frames must increase strictly"),
        (with_tube(rows(1) * np.array([1, 1, np.nan, 1, 1])), "is not finite"),
    ],
)
def test_invalid_files_are_rejected(tmp_path: Path, data: Any, says: str) -> None:
    path = file(tmp_path, data)
    with pytest.raises(AnnotationError, match=rf"GT[.]pkl: .*({says})") as caught:
        act.read_gt(path)
    assert "\n" not in str(caught.value)


@st.composite
def some_truth(draw: st.DrawFn) -> TubeTruth:
    """Truth with float32 pixels, as in GT.pkl."""
    seed = np.random.default_rng(draw(st.integers(0, 999)))
    rate = draw(st.sampled_from([25.0, 30.0, 29.97]))
    lengths = draw(st.lists(st.integers(1, 4), max_size=5))
    frames = [np.sort(seed.choice(40, length, replace=False)) for length in lengths]
    labels = Labels((1, 2, 3), ("a", "b", "c"))
    order = sorted((int(seed.integers(2)), int(seed.integers(3))) for _ in lengths)
    pixels = (seed.random((sum(lengths), 4)) * 300).astype(np.float32).astype(np.float64)
    tubes = Tubes(
        video=np.array([f"v{video}" for video, _ in order], np.str_),
        label=np.array([label for _, label in order], np.int32),
        score=np.ones(len(lengths)),
        track=np.full(len(lengths), -1, np.int32),
        start=np.cumsum([0, *lengths]).astype(np.int64),
        time=np.concatenate([np.zeros(0), *frames]) / rate,
        box=pixels / np.array([333, 217, 333, 217]),
        box_score=np.ones(sum(lengths)),
        interpolated=np.zeros(sum(lengths), np.bool_),
        classes=labels.names,
    )
    return TubeTruth(
        tubes, {"v0": (217, 333), "v1": (217, 333)}, {"v0": 40, "v1": 50}, rate, labels
    )


@given(truth=some_truth())
def test_truth_round_trip(tmp_path_factory: Any, truth: TubeTruth) -> None:
    path = tmp_path_factory.getbasetemp() / "round.pkl"
    act.write_gt(truth, path)
    back = act.read_gt(path, rate=truth.rate)
    assert (back.sizes, back.frames, back.labels) == (truth.sizes, truth.frames, truth.labels)
    for name in ("video", "label", "score", "track", "start", "time", "box", "box_score"):
        np.testing.assert_array_equal(getattr(back.tubes, name), getattr(truth.tubes, name), name)


def test_train_videos_are_written_too(tmp_path: Path) -> None:
    path = file(tmp_path, gt())
    test, train = act.read_gt(path), act.read_gt(path, 0, "train")
    act.write_gt(test, tmp_path / "again.pkl", train)
    assert act.read_gt(tmp_path / "again.pkl", 0, "train").frames == train.frames
    assert len(act.read_gt(tmp_path / "again.pkl").tubes) == 4
    with pytest.raises(ValueError, match="in both the train and the test videos"):
        act.write_gt(test, tmp_path / "again.pkl", test)


def test_times_between_frames_are_rejected(tmp_path: Path) -> None:
    truth = act.read_gt(file(tmp_path, gt()))
    other = TubeTruth(truth.tubes, truth.sizes, truth.frames, 30.0, truth.labels)
    with pytest.raises(ValueError, match="times fall between frames at 30 frames a second"):
        act.write_gt(other, tmp_path / "again.pkl")


def test_jhmdb_has_three_splits_of_21_classes(tmp_path: Path) -> None:
    data = changed(labels=[f"c{i}" for i in range(21)], test_videos=[["b/one"], [], ["b/two"]])
    truth = jhmdb.read_gt(file(tmp_path, data), 2)
    assert (truth.videos, truth.rate) == (("b/two",), 30.0)
    with pytest.raises(AnnotationError, match="JHMDB has 21 classes, this file has 2"):
        jhmdb.read_gt(file(tmp_path, gt()))
