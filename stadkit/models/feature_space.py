"""STMixer's 4D feature space (Wu et al. 2024, Fig. 4): maps of one width at four scales.

The figure resizes all maps to one size; like the authors' code, this keeps each at its own size
and samples it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.conv import Conv3d
from stadkit.layers.memory_format import concat_channels_last
from stadkit.models.slowfast import STAGES
from stadkit.models.vit import Vit

STRIDES = (4, 8, 16, 32)  # pixels per cell of the four scales


class Pyramidal(nn.ModuleList):
    """`lateral_convs` for SlowFast and SlowOnly: one 1 x 1 x 1 convolution per stage.

    channels: of each stage, summed over pathways.
    """

    def __init__(self, channels: Mapping[str, int], width: int) -> None:
        super().__init__(Conv3d(channels[s], width, 1) for s in STAGES)

    def forward(self, stages: dict[str, list[Tensor]]) -> list[Tensor]:
        """Backbone stages -> maps [B, width, t, h, w] of each scale, fine to coarse."""
        maps = [join_pathways(stages[name]) for name in STAGES]
        return [lateral(x) for lateral, x in zip(self, maps, strict=True)]


def join_pathways(pathways: Sequence[Tensor]) -> Tensor:
    """[slow [B, D, t, h, w], fast [B, F, alpha t, h, w]] -> [B, D + F, t, h, w].

    Fast features are max-pooled over each slow frame's interval.
    """
    slow = pathways[0]
    if len(pathways) == 1:
        return slow
    fast, (times, height, width) = pathways[1], slow.shape[2:]
    if fast.shape[2] % times:  # intervals differ in length
        return concat_channels_last([slow, F.adaptive_max_pool3d(fast, (times, height, width))])
    return concat_channels_last([slow, F.max_pool3d(fast, (fast.shape[2] // times, 1, 1))])


class Plain(nn.ModuleList):
    """`lateral_convs` for a ViT: its single map resized to four scales, one branch each."""

    def __init__(self, channels: int, width: int) -> None:
        half, quarter = channels // 2, channels // 4
        finest = [Unfold(channels, half), ChannelNorm(half), nn.GELU(), Unfold(half, quarter)]
        super().__init__(
            nn.Sequential(*scale, *_out(inside, width))
            for scale, inside in (
                (finest, quarter),
                ([Unfold(channels, half)], half),
                ([], channels),
                ([nn.MaxPool3d((1, 2, 2))], channels),
            )
        )

    def forward(self, volume: Tensor) -> list[Tensor]:
        """A map [B, D, t, h, w] of stride 16 -> [B, width, t, ., .] of strides 4, 8, 16, 32."""
        return [branch(volume) for branch in self]


def _out(inside: int, width: int) -> list[nn.Module]:
    return [
        Conv3d(inside, width, 1, bias=False),
        ChannelNorm(width),
        Conv3d(width, width, 3, padding=1, bias=False),
    ]


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of maps [B, D, t, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Unfold(nn.ConvTranspose3d):
    """Transposed convolution with stride 2 in height and width, kernel 2."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, (1, 2, 2), (1, 2, 2))

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """x [B, D, t, h, w] -> [B, outside, t, 2 h, 2 w]."""
        # Outputs do not overlap, so this is a matrix product, which is much faster on CPUs.
        weight = self.weight.flatten(2).permute(2, 1, 0)  # [4, outside, D]
        cells = x.movedim(1, -1)  # [B, t, h, w, D]
        out = F.linear(cells, weight.flatten(0, 1), cast(Tensor, self.bias).repeat(4))
        clips, t, h, w, _ = out.shape
        out = out.view(clips, t, h, w, 2, 2, self.out_channels)
        return out.permute(0, 6, 1, 2, 4, 3, 5).reshape(clips, -1, t, 2 * h, 2 * w)


def volume(backbone: Vit, pixels: Tensor) -> Tensor:
    """The tokens of a ViT without pruning, as a map [B, D, t, h, w]."""
    tokens = backbone(pixels)
    slices, height, width = tokens.grid
    # The key frame's tokens come first; restore raster order.
    cells, first = height * width, slices // 2
    key, before, after = tokens.token.split(
        [cells, first * cells, (slices - first - 1) * cells], dim=1
    )
    raster = torch.cat([before, key, after], 1)
    return raster.view(len(raster), slices, height, width, -1).permute(0, 4, 1, 2, 3)
