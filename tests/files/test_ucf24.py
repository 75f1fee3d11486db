import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stadkit.errors import AnnotationError
from stadkit.files import ucf24


def tube(boxes: Any, sf: int = 0, label: int = 2) -> dict[str, Any]:
    return {"label": label, "sf": sf, "ef": sf + len(boxes), "boxes": boxes}


def file(tmp_path: Path, data: Any) -> Path:
    (tmp_path / "pyannot.pkl").write_bytes(pickle.dumps(data, 2))
    return tmp_path / "pyannot.pkl"


def video(*tubes: Any) -> dict[str, Any]:
    return {"numf": 9, "label": 2, "annotations": list(tubes)}


def test_uint8_boxes_do_not_overflow(tmp_path: Path) -> None:
    """x 200 + w 80 is 280 of 320 pixels; in uint8 it would be 24."""
    boxes = np.array([[200, 120, 80, 60], [160, 120, 160, 120]], np.uint8)
    truth = ucf24.read_pyannot(file(tmp_path, {"Biking/v": video(tube(boxes, 3))}))
    assert truth.tubes.box.tolist() == [[0.625, 0.5, 0.875, 0.75], [0.5, 0.5, 1.0, 1.0]]
    # sf 3 is the fourth frame, at .12 s of 25 frames a second; ef 5 is not in.
    assert truth.tubes.time.tolist() == [0.12, 0.16]
    assert truth.tubes.classes[truth.tubes.label[0]] == "Biking"
    assert truth.labels.ids == tuple(range(1, 25))
    assert (truth.frames, truth.sizes) == ({"Biking/v": 9}, {"Biking/v": (240, 320)})


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_corners_of_every_number_type(kind: Any) -> None:
    assert ucf24.corners(np.array([[200, 100, 100, 200]], kind)).tolist() == [[200, 100, 300, 300]]


def test_chosen_videos_and_sizes(tmp_path: Path) -> None:
    box = np.array([[64, 48, 64, 48]], np.uint16)
    path = file(tmp_path, {"a": video(tube(box)), "b": video(tube(box)), "c": video()})
    truth = ucf24.read_pyannot(path, ["c", "b"], {"b": (96, 128)})
    assert truth.videos == ("b", "c")
    assert truth.tubes.box.tolist() == [[0.5, 0.5, 1.0, 1.0]]
    with pytest.raises(AnnotationError, match=r"video 'd' is missing \(1 of "):
        ucf24.read_pyannot(path, ["a", "d"])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([1], "not a pyannot.pkl: contains list"),
        ({"a": {"numf": 3}}, "at 'a': annotations missing"),
        ({"a": video({"label": 1})}, "at 'a, tube 0': sf, ef, boxes missing"),
        (
            {"a": video(tube(np.zeros((2, 4)), 0) | {"ef": 3})},
            r"tube 0: boxes have shape \(2, 4\), wants \(3, 4\) for frames 0 to 3",
        ),
        ({"a": video(tube(np.zeros((2, 4)), 0, 24))}, "a, label 24: the label is not one"),
        ({"a": video(tube(np.zeros((0, 4))))}, "a, tube 0: wants rows"),
        ({"a": video(tube(np.zeros((2, 3))))}, r"boxes have shape \(2, 3\), wants \(2, 4\)"),
        ({"a": video() | {"numf": "9"}}, "a: numf is '9', wants an integer"),
        ({"a": video() | {"annotations": None}}, "a: annotations is not a list"),
    ],
)
def test_invalid_files_are_rejected(tmp_path: Path, data: Any, says: str) -> None:
    with pytest.raises(AnnotationError, match=rf"pyannot[.]pkl:.*({says})"):
        ucf24.read_pyannot(file(tmp_path, data))


def test_gt_with_other_classes_is_rejected(tmp_path: Path) -> None:
    keys = ("gttubes", "nframes", "resolution")
    data: dict[str, Any] = {key: {} for key in keys} | {"train_videos": [[]], "test_videos": [[]]}
    assert len(ucf24.read_gt(file(tmp_path, data | {"labels": list(ucf24.NAMES)})).labels) == 24
    with pytest.raises(AnnotationError, match="UCF101-24 has 24 classes, this file has 2"):
        ucf24.read_gt(file(tmp_path, data | {"labels": ["a", "b"]}))
