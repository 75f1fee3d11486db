"""Intermediate detections: lossless round trip and reproducible bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stadkit.detections import Detections, Keyframes
from stadkit.errors import AnnotationError, StadkitError
from stadkit.files.found_npz import COLUMNS, read_found_npz, write_found_npz

LOOKED = Keyframes(np.array(["ä", "b"]), np.array([0.1, 1 / 3]))


def table(n: int) -> Detections:
    rng = np.random.default_rng(0)
    return Detections(
        video=np.full(n, "ä"),
        time=rng.random(n),
        box=rng.random((n, 4)).astype(np.float32),
        person=np.full(n, np.nan, np.float32),
        action=rng.random((n, 2)).astype(np.float32),
        track=np.arange(n, dtype=np.int32),
        classes=("stand", "wave, both hands"),
    )


@pytest.mark.parametrize("n", [0, 3])
def test_round_trip(tmp_path: Path, n: int) -> None:
    path = tmp_path / "a.npz"
    write_found_npz(table(n), LOOKED, path)
    back, looked = read_found_npz(path)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(back, name), getattr(table(n), name))
    assert back.classes == table(n).classes
    assert (looked.video.tolist(), looked.time.tolist()) == (["ä", "b"], [0.1, 1 / 3])
    first = path.read_bytes()
    write_found_npz(table(n), LOOKED, path)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_path(tmp_path: Path) -> None:
    with pytest.raises(StadkitError, match=r"no/a\.npz: cannot be written \(No such file"):
        write_found_npz(table(1), LOOKED, tmp_path / "no" / "a.npz")


@pytest.mark.parametrize("part", [0, 10, 400])
def test_other_files_are_rejected(tmp_path: Path, part: int) -> None:
    path = tmp_path / "a.npz"
    write_found_npz(table(3), LOOKED, path)
    path.write_bytes(path.read_bytes()[:part])
    with pytest.raises(AnnotationError, match=r"a\.npz: not a stadkit intermediate file"):
        read_found_npz(path)
    np.savez(path, time=np.zeros(2))
    with pytest.raises(AnnotationError, match="remove it and run again"):
        read_found_npz(path)
    np.savez(path, video=np.array([object()]))
    with pytest.raises(AnnotationError, match="remove it and run again"):
        read_found_npz(path)
