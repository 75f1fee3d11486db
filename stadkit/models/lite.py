"""EfficientNet-Lite0, or its first thirteen blocks, as a frozen backbone trained on photographs.

EfficientNet-Lite (Google, 2020; Apache-2.0) is EfficientNet (Tan and Le 2019) without squeeze
and excitation and with ReLU6. Its batch norms are folded into the convolutions. `weights/photo.py`
reads the published weights; training keeps them frozen, because training on renderings would
destroy features learned from photographs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.conv import HalvingConv2d, conv_relu6
from stadkit.models.slowfast import STAGES

# Kernel, stride, channels of each block (EfficientNet-B0, Table 1); the first has no expansion.
BLOCKS = (
    (3, 1, 16),
    (3, 2, 24),
    (3, 1, 24),
    (5, 2, 40),
    (5, 1, 40),
    (3, 2, 80),
    (3, 1, 80),
    (3, 1, 80),
    (5, 1, 112),
    (5, 1, 112),
    (5, 1, 112),
    (5, 2, 192),
    (5, 1, 192),
    (5, 1, 192),
    (5, 1, 192),
    (3, 1, 320),
)
STEM = 32
WIDE = 1280  # channels of the last convolution, before ImageNet's classifier
EXPANSION = 6
LAST = (2, 4, 10, 12)  # blocks that output the maps at strides 4, 8, 16, 32
CHANNELS = tuple(BLOCKS[number][2] for number in LAST)
FRAMES_AT_ONCE = 4  # so that activations fit the cache
CENTRE, SCALE = 127.5, 63.75  # pixels are (level - CENTRE) / SCALE, levels 0..255
MAP_STD = 7.0  # approximate standard deviation of the maps on photographs


class Lite(nn.Module):
    """Frames [B, 3, H, W] -> maps [B, D, h, w] at strides 4, 8, 16 and 32, D as in CHANNELS.

    H and W are multiples of 32; at other sizes coarse maps miss the last rows and columns.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = HalvingConv2d(3, STEM, 3)
        self.blocks = _blocks(max(LAST) + 1)
        self.requires_grad_(False)

    def forward(self, frames: Tensor) -> list[Tensor]:
        x = conv_relu6(self.stem, frames)
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return [maps[number] / MAP_STD for number in LAST]

    def of_clips(self, pixels: Tensor) -> list[Tensor]:
        """Pixels [B, 3, T, H, W] -> maps [B * T, D, h, w], a few frames at a time."""
        frames = pixels.transpose(1, 2).flatten(0, 1)
        split = torch.split(frames, FRAMES_AT_ONCE)
        parts = (x.contiguous(memory_format=torch.channels_last) for x in split)
        return [torch.cat(maps) for maps in zip(*(self(x) for x in parts), strict=True)]


class WholeLite(nn.Module):
    """All sixteen blocks: frames [B, 3, H, W] -> maps at strides 16 and 32.

    [B, 112, h, w] and, before the classifier's pooling, [B, WIDE, h / 2, w / 2]. H and W are
    multiples of 32. Pixels are (level - 127.5) / 63.75.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = HalvingConv2d(3, STEM, 3)
        self.blocks = _blocks(len(BLOCKS))
        self.wide = nn.Conv2d(BLOCKS[-1][2], WIDE, 1)
        self.requires_grad_(False)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        x = conv_relu6(self.stem, frames)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number == LAST[2]:
                middle = x
        return middle, conv_relu6(self.wide, x)


class LiteFrames(nn.Module):
    """A backbone that processes each frame separately and leaves motion to later layers.

    Pixels [B, 3, T, H, W] -> res2..res5 at strides 4 to 32, one pathway [B, D, T, h, w] each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.photo = Lite()
        self.channels = dict(zip(STAGES, CHANNELS, strict=True))

    def forward(self, pixels: Tensor) -> dict[str, list[Tensor]]:
        clips, _, frames = pixels.shape[:3]
        maps = self.photo.of_clips(pixels)
        by_clip = (x.view(clips, frames, *x.shape[1:]).transpose(1, 2) for x in maps)
        return {name: [x] for name, x in zip(STAGES, by_clip, strict=True)}


class LitePatches(nn.Module):
    """Transformer tokens from `Lite`'s maps instead of pixels: one frame, 16 x 16 pixels each.

    A token reads its four cells at stride 8, its cell at stride 16 and the one at stride 32 that
    contains it, like the hybrid of Dosovitskiy et al. 2020, whose patches are from a ResNet.
    """

    patch = 16  # pixels per side of a token

    def __init__(self, width: int) -> None:
        super().__init__()
        self.photo = Lite()
        _, fine, middle, coarse = CHANNELS
        self.proj = nn.Linear(4 * fine + middle + coarse, width)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels [B, 3, T, H, W], H and W multiples of 16 -> tokens [B, T * h * w, D], raster."""
        clips, (h, w) = len(pixels), (side // self.patch for side in pixels.shape[3:])
        padded = F.pad(pixels, (0, w % 2 * self.patch, 0, h % 2 * self.patch))  # multiples of 32
        _, fine, middle, coarse = self.photo.of_clips(padded)
        repeated = F.interpolate(coarse, scale_factor=2.0)
        cells = torch.cat([F.pixel_unshuffle(fine, 2), middle, repeated], 1)[..., :h, :w]
        tokens: Tensor = self.proj(cells.flatten(2).transpose(1, 2))  # [B * T, h * w, D]
        return tokens.view(clips, -1, tokens.shape[-1])


class InvertedResidual(nn.Module):
    """Inverted residual block: expand, depthwise convolution, project (Sandler et al. 2018).

    [B, inside, h, w] -> [B, outside, h / stride, w / stride].
    """

    def __init__(self, inside: int, outside: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.expand = nn.Conv2d(inside, wide, 1) if expansion > 1 else None
        if stride == 2:
            self.filter: nn.Conv2d = HalvingConv2d(wide, wide, kernel, groups=wide)
        else:
            self.filter = nn.Conv2d(wide, wide, kernel, padding=kernel // 2, groups=wide)
        self.narrow = nn.Conv2d(wide, outside, 1)
        self.residual = inside == outside and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else conv_relu6(self.expand, x)
        narrow: Tensor = self.narrow(conv_relu6(self.filter, y))
        return x + narrow if self.residual else narrow


def _blocks(count: int) -> nn.ModuleList:
    """Build the first `count` of BLOCKS."""
    inside, blocks = STEM, []
    for number, (kernel, stride, outside) in enumerate(BLOCKS[:count]):
        expansion = EXPANSION if number else 1
        blocks.append(InvertedResidual(inside, outside, expansion, kernel, stride))
        inside = outside
    return nn.ModuleList(blocks)
