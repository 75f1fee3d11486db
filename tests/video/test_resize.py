"""Pictures at another size."""

import numpy as np
import pytest

from stadkit.video.resize import resized, resized_shape


@pytest.mark.parametrize(
    ("size", "short", "shape"),
    [
        ((720, 1280), 128, (128, 228)),
        ((1280, 720), 128, (228, 128)),
        ((1, 1), 64, (64, 64)),
        ((10, 1000), 64, (5, 512)),  # a thin strip: the long side is held at 8 short sides
    ],
)
def test_the_size_of_a_clip(size: tuple[int, int], short: int, shape: tuple[int, int]) -> None:
    assert resized_shape(size, short) == shape


def test_resizing_averages_and_copies() -> None:
    pixels = np.array([[[0] * 3, [100] * 3], [[100] * 3, [200] * 3]], np.uint8)
    assert resized(pixels, 1, 1).tolist() == [[[100] * 3]]
    same = resized(pixels, 2, 2)
    same[:] = 9
    assert pixels.max() == 200
