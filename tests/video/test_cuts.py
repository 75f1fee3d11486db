"""Shot boundary detection: hard cuts are found, flashes, motion and dissolves are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stadkit.video.cuts import BINS, LAGS, colours, difference, is_cut, shot_changes
from stadkit.video.decode import open_video
from stadkit.video.write import VideoWriter

Pixels = NDArray[np.uint8]
RATE = 10


def scene(seed: int, shift: int = 0) -> Pixels:
    """An image [48, 64, 3] of patches in a few colours, shifted to the right."""
    rng = np.random.default_rng(seed)
    patches = rng.choice([30, 90, 150, 220], (6, 8, 3)).astype(np.uint8)
    return np.roll(np.repeat(np.repeat(patches, 8, 0), 8, 1), shift, 1)


def cuts_of(path: Path, pictures: Sequence[Pixels], until: float = np.inf) -> list[float]:
    with VideoWriter(path, 64, 48, RATE) as writer:
        for i, picture in enumerate(pictures):
            writer.write(picture, i / RATE)
    with open_video(path) as video:
        return [round(time, 3) for time in shot_changes(video, until).tolist()]


def test_a_cut_is_midway_between_its_two_frames(tmp_path: Path) -> None:
    pictures = [scene(1)] * 8 + [scene(2)] * 7 + [scene(3)] * 5
    assert cuts_of(tmp_path / "a.mp4", pictures) == [0.75, 1.45]


def test_frames_after_the_end_are_not_read(tmp_path: Path) -> None:
    pictures = [scene(1)] * 8 + [scene(2)] * 7 + [scene(3)] * 5
    assert cuts_of(tmp_path / "a.mp4", pictures, until=1.2) == [0.75]


def test_cuts_are_found_at_the_very_start_and_end(tmp_path: Path) -> None:
    pictures = [scene(1)] * 3 + [scene(2)] * 9 + [scene(3)] * 3
    assert cuts_of(tmp_path / "a.mp4", pictures) == [0.25, 1.15]


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(tmp_path: Path, length: int) -> None:
    flash = [np.full((48, 64, 3), 250, np.uint8)] * length
    assert cuts_of(tmp_path / "a.mp4", [scene(1)] * 8 + flash + [scene(1)] * 8) == []


def test_fast_motion_is_no_cut(tmp_path: Path) -> None:
    # Half of each quarter changes from frame to frame.
    assert cuts_of(tmp_path / "a.mp4", [scene(1, 16 * i) for i in range(16)]) == []


def test_no_cut_if_every_frame_differs(tmp_path: Path) -> None:
    assert cuts_of(tmp_path / "a.mp4", [scene(i) for i in range(16)]) == []


def test_a_dissolve_is_no_cut(tmp_path: Path) -> None:
    def mixed(part: float) -> Pixels:
        return ((1 - part) * scene(1) + part * scene(2)).astype(np.uint8)

    steps = [mixed(i / 10) for i in range(11)]
    assert cuts_of(tmp_path / "a.mp4", [scene(1)] * 5 + steps + [scene(2)] * 5) == []


@pytest.mark.parametrize("frames", [1, 2])
def test_a_video_of_few_frames(tmp_path: Path, frames: int) -> None:
    assert cuts_of(tmp_path / "a.mp4", [scene(1)] * frames) == []


def test_colours_by_hand() -> None:
    # Levels are BINS - 1 = 7 steps of 255 / 7 apart; the left half is black, the right one
    # halfway between the centres of the first two bins.
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:, 2:] = 18  # 255 / 7 / 2 is 18.2
    shares = colours(pixels)
    assert shares.shape == (4, 3, BINS)
    np.testing.assert_allclose(shares[0, :, :3], [[1, 0, 0]] * 3)
    np.testing.assert_allclose(shares[1, :, :3], [[0.506, 0.494, 0]] * 3, atol=1e-3)
    np.testing.assert_allclose(shares[2:], shares[:2])
    np.testing.assert_allclose(shares.sum(-1), 1)


def test_white_is_in_the_last_bin() -> None:
    shares = colours(np.full((5, 7, 3), 255, np.uint8))  # odd sides lose a row and a column
    np.testing.assert_allclose(shares[..., -1], 1)


def test_difference_by_hand() -> None:
    black = colours(np.zeros((4, 4, 3), np.uint8))
    some = np.zeros((4, 4, 3), np.uint8)
    some[0, :, 0] = 255  # red in half of the upper quarters: 1/2 of 1/2 of 1/3
    assert difference(black, black) == 0
    assert difference(black, colours(some)) == pytest.approx(1 / 12)
    assert difference(black, colours(np.full((4, 4, 3), 255, np.uint8))) == 1


def test_is_cut_of_no_frames() -> None:
    assert is_cut(np.zeros((0, LAGS), np.float32)).tolist() == []
