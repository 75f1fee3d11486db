import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stadkit.errors import AnnotationError
from stadkit.files.tube_truth import TubeTruth
from stadkit.files.tubelets import read_tubelets, write_tubelets
from stadkit.labels import Labels
from stadkit.tubes import Tubelets, Tubes

LABELS = Labels((1, 2), ("run", "jump"))
TRUTH = TubeTruth(
    tubes=Tubes.empty(LABELS.names),
    sizes={"c/v": (10, 20), "w": (10, 20), "short": (10, 20)},
    frames={"c/v": 3, "w": 2, "short": 1},
    rate=25.0,
    labels=LABELS,
)
NONE = np.zeros((0, 9), np.float32)


def row(first: float) -> list[float]:
    """Boxes first..first + 7 of two frames, score .5."""
    return [*np.arange(8) + first, 0.5]


def stored() -> dict[str, Any]:
    """Two frames each: c/v starts at 1 and 2, w at 1, the short one never."""
    one = np.array([row(0), row(10)], np.float32)
    return {
        "c/v": {1: {1: NONE, 2: one}, 2: {2: NONE, 1: one[1:]}},
        "w": {1: {1: one[:1], 2: NONE}},
    }


def test_tubelets_in_order() -> None:
    tubelets = read_tubelets(stored(), TRUTH, 2)
    assert tubelets.videos == ("c/v", "w", "short")
    assert tubelets.video.tolist() == [0, 0, 0, 1]
    assert tubelets.frame.tolist() == [1, 1, 2, 1]
    assert tubelets.label.tolist() == [1, 1, 0, 0]
    assert tubelets.score.tolist() == [0.5] * 4
    assert tubelets.box[1].tolist() == [[10, 11, 12, 13], [14, 15, 16, 17]]
    assert tubelets.length == 2


def test_a_folder_and_a_pickle_hold_the_same(tmp_path: Path) -> None:
    tubelets = read_tubelets(stored(), TRUTH, 2)
    write_tubelets(tubelets, TRUTH, tmp_path / "folder")
    assert sorted(p.name for p in (tmp_path / "folder" / "c" / "v").iterdir()) == [
        "00001.pkl",
        "00002.pkl",
    ]
    (tmp_path / "all.pkl").write_bytes(pickle.dumps(stored()))
    for source in (tmp_path / "folder", tmp_path / "all.pkl"):
        back = read_tubelets(source, TRUTH, 2)
        for name in ("video", "frame", "label", "score", "box"):
            np.testing.assert_array_equal(getattr(back, name), getattr(tubelets, name), name)


def test_no_tubelets() -> None:
    empty: Any = {"c/v": {1: {}, 2: {1: NONE}}, "w": {1: {}}}
    tubelets = read_tubelets(empty, TRUTH, 2)
    assert (len(tubelets), tubelets.length, tubelets.classes) == (0, 2, ("run", "jump"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"w": {}}, "no tubelets for start frame 1 of 'w'"),
        ({"w": {1: [NONE]}}, "w, frame 1: wants arrays by label"),
        ({"w": {1: {0: NONE}}}, "w: label 0 is not a class"),
        ({"w": {1: {3: NONE}}}, "w: label 3 is not a class"),
        ({"w": {1: {1: NONE[:, :5]}}}, r"got \(0, 5\), wants an array \[n, 9\] for 2 frames"),
        ({"w": {1: {1: []}}}, "got list, wants an array"),
        ({"w": {1: {1: np.full((1, 9), np.nan)}}}, "w, frame 1: a box or score is not finite"),
    ],
)
def test_invalid_files_are_rejected(change: Any, says: str) -> None:
    with pytest.raises(AnnotationError, match=f"tubelets: .*{says}|{says}"):
        read_tubelets(stored() | change, TRUTH, 2)


def test_a_missing_frame_file_is_reported(tmp_path: Path) -> None:
    write_tubelets(read_tubelets(stored(), TRUTH, 2), TRUTH, tmp_path)
    (tmp_path / "w" / "00001.pkl").unlink()
    with pytest.raises(AnnotationError, match=r"w/00001[.]pkl: does not exist"):
        read_tubelets(tmp_path, TRUTH, 2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"label": np.array([2], np.int32)}, "label is outside"),
        ({"video": np.array([1], np.int32)}, "video is outside"),
        ({"frame": np.array([0], np.int64)}, "counts from 1"),
        ({"score": np.array([np.inf])}, "finite"),
        ({"score": np.array([1], np.float32)}, "score is float32"),
        ({"box": np.zeros((1, 0, 4))}, "wants"),
        ({"box": np.zeros((2, 3, 4))}, "box is"),
    ],
)
def test_invalid_columns_are_rejected(change: Any, says: str) -> None:
    columns: dict[str, Any] = {
        "videos": ("v",),
        "video": np.zeros(1, np.int32),
        "frame": np.ones(1, np.int64),
        "label": np.zeros(1, np.int32),
        "score": np.ones(1, np.float64),
        "box": np.zeros((1, 3, 4), np.float64),
        "classes": ("a", "b"),
    }
    assert len(Tubelets(**columns).select(np.array([0, 0]))) == 2
    with pytest.raises(ValueError, match=says):
        Tubelets(**(columns | change))
