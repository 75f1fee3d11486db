"""Feature pyramid network (Lin et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Pyramid(nn.Module):
    """Lateral 1 x 1 convolutions, top-down sums, 3 x 3 output convolutions; no norms.

    channels: of each stage, fine to coarse. extra: add a level from the coarsest output.
    """

    def __init__(self, channels: Sequence[int], width: int = 256, extra: bool = True) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.output = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        self.extra = nn.Conv2d(width, width, 3, stride=2, padding=1) if extra else None
        for conv in (m for m in self.modules() if isinstance(m, nn.Conv2d)):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(
        self, maps: Sequence[Tensor], sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[Tensor]:
        """Maps [B, D of the stage, h, w], fine to coarse -> maps [B, width, h, w].

        sizes: (height, width) that each map is upsampled to (nearest cell); None: its own.
        """
        sums = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        if sizes is not None:
            # A 1 x 1 convolution commutes with repeating cells: upsample after it, at lower cost.
            sums = [stretch(x, size) for x, size in zip(sums, sizes, strict=True)]
        for i in range(len(sums) - 2, -1, -1):
            # With odd sizes the ratio is not 2: upsample to the finer map's size.
            sums[i] = sums[i] + stretch(sums[i + 1], (sums[i].shape[2], sums[i].shape[3]))
        levels = [output(x) for output, x in zip(self.output, sums, strict=True)]
        if self.extra is not None:
            levels.append(self.extra(F.relu(levels[-1])))
        return levels


def stretch(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps [B, D, h, w] to (height, width) by nearest-neighbour interpolation."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    # Channels-last, this copies whole rows of channels: 40 times as fast on a CPU.
    maps = maps.contiguous(memory_format=torch.channels_last)
    return F.interpolate(maps, size=size, mode="nearest")
