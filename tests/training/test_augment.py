"""Boxes and pixels are augmented alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.training.augment import View, move_boxes, move_joints, random_view, recolour, warp
from stadkit.training.config import AugmentConfig

DICE = np.random.default_rng(0)
MOVES = AugmentConfig(short_side=(40, 80), crop=(40, 48), stretch=0.1)


@given(seed=st.integers(0, 10_000))
def test_a_bright_square_stays_in_its_box(seed: int) -> None:
    pixels = np.zeros((1, 60, 80, 3), np.uint8)
    pixels[0, 20:40, 30:55] = 255
    view = random_view(MOVES, 60, 80, np.random.default_rng(seed))
    seen = warp(pixels, view)[0, :, :, 0] > 127
    box, stays = move_boxes(np.array([[30, 20, 55, 40]], np.float32), view, 0.0)
    if not stays[0]:
        return
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    # Half a pixel of rounding on each side.
    assert np.abs(found - box[0]).max() <= 1.01


def test_flip_mirrors_by_hand() -> None:
    config = AugmentConfig(short_side=(60, 60), crop=(60, 80), flip=1.0)
    view = random_view(config, 60, 80, np.random.default_rng(0))
    box, stays = move_boxes(np.array([[10, 5, 30, 25]], np.float32), view, 0.25)
    assert box.tolist() == [[50, 5, 70, 25]]
    assert stays.tolist() == [True]


def test_flip_swaps_left_and_right_joints() -> None:
    config = AugmentConfig(short_side=(60, 60), crop=(60, 80), flip=1.0)
    view = random_view(config, 60, 80, np.random.default_rng(0))
    joints = np.array([[[[1, 2], [10, 5], [30, 25]]]], np.float32)  # middle, left, right
    assert view.mirrors
    assert move_joints(joints, view, (0, 2, 1)).tolist() == [[[[79, 2], [50, 25], [70, 5]]]]
    straight = random_view(AugmentConfig(**{**vars(config), "flip": 0.0}), 60, 80, DICE)
    assert move_joints(joints, straight, (0, 2, 1)).tolist() == joints.tolist()


def test_a_person_mostly_outside_is_dropped() -> None:
    view = View(np.array([[1, 0, -15], [0, 1, 0]], np.float32), (40, 40), (40, 40))
    box = np.array([[0, 0, 20, 20], [0, 0, 30, 20]], np.float32)  # a quarter and a half inside
    _, stays = move_boxes(box, view, 0.4)
    assert stays.tolist() == [False, True]


def test_small_pictures_are_padded_with_zeros() -> None:
    config = AugmentConfig(short_side=(30, 30), crop=(40, 60), flip=0)
    view = random_view(config, 60, 80, np.random.default_rng(0))
    out = warp(np.full((2, 60, 80, 3), 200, np.uint8), view)
    assert view.size == (30, 40)
    assert out.shape == (2, 40, 60, 3)
    assert (out[:, :30, :40] == 200).all()
    assert out[:, 30:].max() == out[:, :, 40:].max() == 0


@given(seed=st.integers(0, 10_000), short=st.integers(20, 90))
def test_whole_frames(seed: int, short: int) -> None:
    config = AugmentConfig(short_side=(short, short), crop=None, flip=0.0)
    view = random_view(config, 54, 97, np.random.default_rng(seed))
    assert view.size == view.padded == (short, int(97 * short / 54 + 0.5))
    assert view.matrix[:, 2].tolist() == [0, 0]
    box, stays = move_boxes(np.array([[0, 0, 97, 54]], np.float32), view, 1.0 - 0.5 / short)
    assert stays.all()
    assert np.abs(box[0] - [0, 0, *view.size[::-1]]).max() <= 0.5


def test_whole_frames_keep_the_other_random_numbers() -> None:
    cropped, whole = (AugmentConfig(short_side=(40, 80), crop=crop) for crop in ((30, 30), None))
    dice = [np.random.default_rng(3), np.random.default_rng(3)]
    views = [random_view(cropped, 60, 80, dice[0]), random_view(whole, 60, 80, dice[1])]
    assert views[0].matrix[1, 1] == views[1].matrix[1, 1]
    assert dice[0].random() == dice[1].random()


def test_a_frame_of_the_right_size_is_not_resampled() -> None:
    pixels = DICE.integers(0, 256, (2, 54, 96, 3)).astype(np.uint8)
    config = AugmentConfig(short_side=(54, 54), crop=None, flip=0.0)
    assert np.array_equal(warp(pixels, random_view(config, 54, 96, DICE)), pixels)


@pytest.mark.parametrize("field", ["gain", "shift", "grey", "shuffle"])
def test_each_colour_option_changes_pixels(field: str) -> None:
    random = np.random.default_rng(1)
    pixels = random.integers(30, 200, (2, 8, 8, 3)).astype(np.uint8)
    value = {"gain": 0.3, "shift": 20.0, "grey": 1.0, "shuffle": 1.0}[field]
    plain = AugmentConfig()
    changed = AugmentConfig.model_validate({field: value})
    assert np.array_equal(recolour(pixels, plain, np.random.default_rng(3)), pixels)
    assert not np.array_equal(recolour(pixels, changed, np.random.default_rng(3)), pixels)
