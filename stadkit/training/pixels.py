"""Bytes of a batch -> the floats that a model takes."""

from __future__ import annotations

import torch
from torch import Tensor

from stadkit.zoo import Card


def normalise(pixels: Tensor, sizes: list[tuple[int, int]], card: Card, half: bool) -> Tensor:
    """uint8 [B, 3, T, H, W] -> normalised float32, or bfloat16; zero beyond sizes [B].

    sizes: (height, width) of each picture. Padding is zero after normalising, not black: that
    is how `detect` pads.
    """
    kind = torch.bfloat16 if half and in_bfloat16(card) else torch.float32
    mean, std = (
        torch.tensor(row, dtype=kind, device=pixels.device).view(3, 1, 1, 1)
        for row in (card.mean, card.std)
    )
    floats = pixels.to(kind, memory_format=torch.channels_last_3d).sub_(mean).div_(std)
    for clip, (height, width) in zip(floats, sizes, strict=True):
        clip[:, :, height:] = 0
        clip[..., width:] = 0
    return floats.to(torch.bfloat16) if half else floats


def in_bfloat16(card: Card) -> bool:
    """Whether computing in bfloat16, which is faster, gives all 256 levels as float32 does."""
    mean, std = torch.tensor(card.mean), torch.tensor(card.std)
    level = torch.arange(256.0)[:, None]
    wanted = ((level - mean) / std).bfloat16()
    return torch.equal(wanted, (level.bfloat16() - mean.bfloat16()) / std.bfloat16())
