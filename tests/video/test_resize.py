"""Resizing of frames."""

import cv2
import numpy as np
import pytest

from stadkit.video.resize import resized, resized_shape


@pytest.mark.parametrize(
    ("size", "short", "shape"),
    [
        ((720, 1280), 128, (128, 228)),
        ((1280, 720), 128, (228, 128)),
        ((1, 1), 64, (64, 64)),
        ((10, 1000), 64, (5, 512)),  # a thin strip: the long side is limited to 8 short sides
    ],
)
def test_the_size_of_a_clip(size: tuple[int, int], short: int, shape: tuple[int, int]) -> None:
    assert resized_shape(size, short) == shape


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((720, 1280), (288, 512)),
        ((288, 500), (288, 500)),
        ((64, 99), (288, 446)),  # 445.5: half pixels round up
        ((64, 97), (288, 437)),  # 436.5: nor to even
        ((100, 1000), (133, 1333)),  # 2880 would be too long
        ((1000, 100), (1333, 133)),
        ((288, 3000), (128, 1333)),
        ((2, 3000), (1, 1333)),
        ((1, 3000), (1, 1333)),  # at least one row
    ],
)
def test_the_size_of_a_clip_with_a_longest_side(
    size: tuple[int, int], shape: tuple[int, int]
) -> None:
    assert resized_shape(size, 288, 1333) == shape


@pytest.mark.parametrize("shape", [(48, 64), (240, 320), (96, 130)])
def test_linear_is_opencv_linear(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 130, 3), np.uint8)
    by_hand = cv2.resize(pixels, shape[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resized(pixels, *shape, "linear"), by_hand)
    averaged = resized(pixels, *shape)
    assert (averaged == by_hand).all() == (
        shape[0] >= 96
    )  # the methods differ only for downscaling


def test_resizing_averages_and_copies() -> None:
    pixels = np.array([[[0] * 3, [100] * 3], [[100] * 3, [200] * 3]], np.uint8)
    assert resized(pixels, 1, 1).tolist() == [[[100] * 3]]
    same = resized(pixels, 2, 2)
    same[:] = 9
    assert pixels.max() == 200
