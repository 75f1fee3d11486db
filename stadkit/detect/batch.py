"""Clips -> the tensor a model takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stadkit.video.clips import Clip
from stadkit.zoo import Card


def to_batch(
    clips: Sequence[Clip], card: Card, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Clips -> (pixels float32 [B, 3, T, H, W] normalised, sizes int64 [B, 2] height and width).

    Zeros fill the bottom and right up to multiples of `card.multiple`; sizes are without
    them. Channels lie last in memory, which convolutions on CPUs and GPUs like best.
    """
    device = device or torch.device("cpu")
    heights, widths = zip(*(clip.pixels.shape[1:3] for clip in clips), strict=True)
    height, width = (_round_up(max(side), card.multiple) for side in (heights, widths))
    frames = clips[0].pixels.shape[0]
    batch = torch.zeros(len(clips), frames, height, width, 3, device=device)
    mean, std = (torch.tensor(row, device=device) for row in (card.mean, card.std))
    for target, clip in zip(batch, clips, strict=True):
        # Sent as bytes: a quarter of the traffic.
        pixels = torch.from_numpy(np.ascontiguousarray(clip.pixels)).to(device)
        part = target[:, : pixels.shape[1], : pixels.shape[2]]
        part.copy_(pixels).sub_(mean).div_(std)
    sizes = torch.tensor([heights, widths], device=device).T
    return batch.permute(0, 4, 1, 2, 3), sizes


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
