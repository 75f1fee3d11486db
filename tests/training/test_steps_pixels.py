"""Pixels are normalised as in `detect`."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stadkit import zoo
from stadkit.detection.table import to_batch
from stadkit.training.steps import is_exact_in_bfloat16, normalise
from stadkit.video.clips import Clip

CARDS = ["mestad-tiny", "mestad-slowfast-r50"]


@pytest.mark.parametrize("name", CARDS)
def test_half_is_float32_rounded_once(name: str) -> None:
    card = zoo.card(name)
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 16, 16).expand(1, 3, 1, 16, 16)
    whole = normalise(levels, [(16, 16)], card, half=False)
    half = normalise(levels, [(16, 16)], card, half=True)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, whole.bfloat16())
    # 114.75 is 115 in bfloat16, so that level 115 would become 0.
    assert is_exact_in_bfloat16(card) == (name == "mestad-tiny")


def test_padding_is_as_in_detection() -> None:
    card = replace(zoo.card("mestad-slowfast-r50"), multiple=16)
    clip = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 3)).astype(np.uint8)
    wanted, _ = to_batch([Clip("a", clip, 0.0, np.zeros(2), (20, 24))], card)
    padded = np.zeros((1, 2, 32, 32, 3), np.uint8)
    padded[0, :, :20, :24] = clip
    pixels = torch.from_numpy(padded).permute(0, 4, 1, 2, 3)
    assert torch.allclose(normalise(pixels, [(20, 24)], card, half=False), wanted, atol=1e-6)
