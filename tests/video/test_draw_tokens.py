"""The image of kept patches: dropped ones faded, kept ones unchanged, legible at any size."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from stadkit.video.clips import Clip
from stadkit.video.draw_tokens import (
    FADED,
    GAP,
    INK,
    KEY,
    MARGIN,
    MIN_TILE_WIDTH,
    Kept,
    draw_tokens,
    expand_cells,
    fade,
    save_png,
)

GREEN = (20, 160, 60)


def clip(slices: int, height: int, width: int, tubelet: int = 2) -> Clip:
    frames = slices * tubelet
    pixels = np.full((frames, height, width, 3), GREEN, np.uint8)
    times = 5 + 0.2 * (np.arange(frames) - frames // 2)
    return Clip("v", pixels, 5.0, times, (height, width))


def kept(mask: np.ndarray, tubelet: int = 2) -> Kept:
    layer = tuple(range(1, len(mask) + 1))
    return Kept(mask, layer, patch=16, tubelet=tubelet, key=mask.shape[1] // 2)


def test_cells_at_the_edge_are_cropped() -> None:
    mask = np.array([[True, False], [False, True]])
    assert expand_cells(mask, 2, (3, 4)).astype(int).tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 1, 1],
    ]


def test_dropped_pixels_are_faded_and_kept_ones_outlined() -> None:
    frame = np.full((4, 6, 3), 100, np.uint8)
    mask = np.array([[True, False]])
    drawn = fade(frame, expand_cells(mask, 3, (3, 6)))  # a different height: stretched
    assert (drawn[:, :2] == 100).all()
    assert (drawn[:, 2] == INK).all()
    assert (drawn[:, 3:] == round(255 - 155 * (1 - FADED))).all()
    assert (frame == 100).all()


def test_a_fully_kept_frame_is_unchanged() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(fade(frame, np.ones((32, 32), bool)), frame)


def test_a_column_per_slice_and_a_row_per_stage() -> None:
    """Three slices of 2 x 2 cells; the second stage keeps one cell of the first slice."""
    side = 160
    mask = np.ones((2, 3, 2, 2), bool)
    mask[1, [0, 2]] = False
    mask[1, 0, 0, 0] = True
    source = clip(3, side, side)
    picture = draw_tokens(source, Kept(mask, (4, 7), patch=80, tubelet=2, key=1))
    step = side + GAP
    y = [int(np.argmax((picture == GREEN).all(2).any(1))) + row * step for row in range(3)]
    x = [picture.shape[1] - MARGIN - side - (2 - column) * step for column in range(3)]
    for row in range(2):  # the clip, and the stage that keeps everything
        for column in range(3):
            assert (picture[y[row] : y[row] + side, x[column] : x[column] + side] == GREEN).all()
    last = picture[y[2] : y[2] + side]
    np.testing.assert_array_equal(
        last[:, x[0] : x[0] + side],
        fade(source.pixels[0], expand_cells(mask[1, 0], 80, (side, side))),
    )
    assert (last[:, x[1] : x[1] + side] == GREEN).all()  # the key frame's
    assert (last[:, x[2] : x[2] + side] > 215).all()
    for edge in (x[1] - 1, x[1] + side):  # framed, unlike the others
        assert (picture[y[0] : y[2] + side, edge] == KEY).all()
    assert not (picture[:, : x[1] - GAP] == KEY).all(2).any()
    assert not (picture[:, x[1] + step :] == KEY).all(2).any()


@pytest.mark.parametrize(("time", "shown"), [(5.0, 0), (5.21, 1)])
def test_the_frame_nearest_to_the_key_time_is_shown(time: float, shown: int) -> None:
    source = clip(2, 96, 96)
    source.pixels[:] = np.arange(4, dtype=np.uint8)[:, None, None, None] * 20
    moved = Clip("v", source.pixels, time, source.times, source.size)
    picture = draw_tokens(moved, kept(np.ones((1, 2, 6, 6), bool)))
    right = picture[:, -MARGIN - 48]
    assert (right == (2 + shown) * 20).all(1).sum() == 2 * 96  # in both rows


@pytest.mark.parametrize("size", [(16, 16), (300, 20), (20, 300), (288, 512)])
@pytest.mark.parametrize("slices", [1, 8])
def test_clips_of_any_shape(size: tuple[int, int], slices: int) -> None:
    cells = [-(-side // 16) for side in size]
    picture = draw_tokens(clip(slices, *size), kept(np.zeros((3, slices, *cells), bool)))
    height, width = picture.shape[:2]
    assert width >= slices * MIN_TILE_WIDTH
    assert width <= 2400
    assert height >= 4 * 3 * 20  # three lines beside each row
    assert (picture[:MARGIN, :MARGIN] == 255).all()


def test_wrong_masks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"wants \[2, t, h, w\]"):
        Kept(np.ones((1, 2, 2, 2), bool), (1, 2), 16, 2, 1)


def test_images_are_written_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    save_png(picture, tmp_path / "1.000.png")
    read = cv2.imread(str(tmp_path / "1.000.png"))
    assert read is not None
    np.testing.assert_array_equal(read[..., ::-1], picture)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        save_png(picture, tmp_path / "2.000.png")
    assert os.listdir(tmp_path) == ["1.000.png"]
