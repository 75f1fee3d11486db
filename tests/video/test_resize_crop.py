"""Container-level cropping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.made_videos import crop_mkv, crop_mp4, make

from stadkit.errors import VideoError
from stadkit.video.decode import open_video
from stadkit.video.frame import Pixels
from stadkit.video.resize import Crop


def first(path: Path) -> Pixels:
    with open_video(path) as video:
        frame = next(iter(video))
        assert frame.size == (video.info.height, video.info.width)
        return frame.rgb()


def test_matroska_crop(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", "mpeg4", frames=2)
    whole = first(path)
    assert whole.shape == (64, 96, 3)
    np.testing.assert_array_equal(first(crop_mkv(path, left=31, top=16)), whole[16:, 31:])


def test_mp4_clean_aperture(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", frames=2)
    whole = first(path)
    # 60 of 96 columns: 18 off each side, then 6 to the right; 40 of 64 rows, 2 above the centre.
    shown = first(crop_mp4(path, wide=60, high=40, right=6, down=-2))
    np.testing.assert_array_equal(shown, whole[10:50, 24:84])


def test_a_cropped_frame_is_resized_and_rotated(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", frames=2, rotation=(90,))
    stored = first(make(tmp_path / "b.mp4", frames=2))
    crop_mp4(path, wide=48, high=64, right=-24, down=0)
    np.testing.assert_array_equal(first(path), np.rot90(stored[:, :48]))
    with open_video(path) as video:
        small = next(iter(video)).rgb(24, 32)
    mean = np.rot90(stored[:, :48]).reshape(24, 2, 32, 2, 3).mean((1, 3))
    np.testing.assert_allclose(small, mean, atol=1)


@pytest.mark.parametrize("size", [(0, 40), (97, 40), (60, 1000)])
def test_an_invalid_crop_is_ignored(tmp_path: Path, size: tuple[int, int]) -> None:
    path = make(tmp_path / "a.mp4", frames=2)
    assert first(crop_mp4(path, *size, right=0, down=0)).shape == (64, 96, 3)


def test_size_after_cropping() -> None:
    assert Crop(left=40, right=40).inside(160, 120) == (80, 120)


def test_decord_refuses_cropped_files(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    path = crop_mp4(make(tmp_path / "a.mp4", frames=2), 60, 40, 0, 0)
    with pytest.raises(VideoError, match="the container crops the video; use the pyav reader"):
        open_video(path, "decord")
