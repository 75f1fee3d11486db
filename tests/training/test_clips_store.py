"""Stored clips are read back up to JPEG loss, and never partially."""

from pathlib import Path

import numpy as np
import pytest

from stadkit.training.clips import ClipStore


def smooth_clip(frames: int = 3, height: int = 32, width: int = 48) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    frame = np.stack([4 * x, 5 * y, 2 * (x + y)], -1)
    return np.stack([frame + t for t in range(frames)]).astype(np.uint8)


def test_round_trip(tmp_path: Path) -> None:
    store, pixels = ClipStore(tmp_path, "x"), smooth_clip()
    box = np.array([[0, 0, 1, 1]], np.float32)
    store.put("a/../b", pixels, box=box)
    assert "a/../b" in store
    kept, arrays = store.get("a/../b")
    assert kept.shape == pixels.shape
    assert np.abs(kept.astype(int) - pixels.astype(int)).mean() < 2
    assert np.array_equal(arrays["box"], box)
    assert all(path.parent == store.folder for path in tmp_path.rglob("*.npz"))


def test_other_settings_other_folder(tmp_path: Path) -> None:
    ClipStore(tmp_path, {"stride": 2}).put("a", smooth_clip())
    assert "a" not in ClipStore(tmp_path, {"stride": 3})


def test_absent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ClipStore(tmp_path, "x").get("a")
