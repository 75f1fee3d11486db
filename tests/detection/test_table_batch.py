"""Clips -> the batch a model takes."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from stadkit.detection import to_batch
from stadkit.video.clips import Clip


def clip(height: int, width: int, level: int) -> Clip:
    pixels = np.full((4, height, width, 3), level, np.uint8)
    return Clip("v", pixels, 0.0, np.zeros(4), (height, width))


def test_normalised_and_padded_at_the_bottom_and_right(fake_card: Any) -> None:
    card = replace(fake_card, mean=(50.0, 100.0, 150.0), std=(10.0, 20.0, 50.0), multiple=32)
    pixels, sizes = to_batch([clip(32, 40, 100), clip(30, 20, 0)], card)
    assert pixels.shape == (2, 3, 4, 32, 64)
    assert sizes.tolist() == [[32, 40], [30, 20]]
    assert pixels[0, :, 1, 5, 39].tolist() == [5.0, 0.0, -1.0]
    assert pixels[1, :, 1, 29, 19].tolist() == [-5.0, -5.0, -3.0]
    assert not pixels[0, :, :, :, 40:].any()
    assert not pixels[1, :, :, 30:].any()
    assert pixels.is_contiguous(memory_format=torch.channels_last_3d)
