"""NanoDet: a person detector for single images, trained on COCO.

RangiLyu's NanoDet (Apache-2.0): a backbone of full convolutions in cross-stage-partial blocks, a
path aggregation neck that adds instead of concatenating, and one head convolution per level. A box
side is the expected value of a discrete distribution (Li et al. 2020, "Generalized Focal Loss",
Eq. 5), and the class score includes the box quality (Eq. 2), so there is no separate quality. Batch
norms are folded into the convolutions. `weights/nanodet.py` converts the published file.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.conv import conv_activation, fusible
from stadkit.models.fcos import points

SLOPE = 0.1  # negative slope of leaky ReLU
STEM = 32
STAGES = ((32, 1), (64, 2), (128, 2), (256, 3))  # channels and inner blocks of each stage
STRIDES = (8, 16, 32)
CHANNELS = (128, 256, 512)  # of the backbone's maps at STRIDES
WIDTH = 128  # of the neck and the head
OBJECTS = 80  # COCO's classes; the first is a person
BINS = 11  # support of a side's distribution: distances 0..10, in strides
# Inputs are (level - MEAN) / STD, RGB; `weights/nanodet.py` flips the published BGR filters.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Conv(nn.Conv2d):
    """A 3 x 3 convolution and leaky ReLU: [B, inside, h, w] -> [B, outside, h / s, w / s]."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__(inside, outside, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        if fusible(self, x):
            return conv_activation(self, x, "leaky_relu", [SLOPE])
        return F.leaky_relu(super().forward(x), SLOPE, inplace=True)


class Pair(nn.Module):
    """Two convolutions with concatenated outputs: [B, D, h, w] -> [B, outside, h, w]."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = Conv(inside, outside // 2)
        self.second = Conv(outside // 2, outside // 2)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        return torch.cat([self.second(first), first], 1)


class NanoDetStage(nn.Module):
    """A cross-stage-partial stage: [B, inside, h, w] -> [B, 2 * width, h / s, w / s]."""

    def __init__(self, inside: int, width: int, blocks: int, stride: int) -> None:
        super().__init__()
        self.enter = Conv(inside, width, stride)
        self.pairs = nn.Sequential(*(Pair(width, width) for _ in range(blocks)))
        self.leave = Conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        return torch.cat([self.leave(self.pairs(entered)), entered], 1)


class NanoDetBackbone(nn.Module):
    """Images [B, 3, H, W] -> maps [B, D, h, w] at STRIDES, D as in CHANNELS."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, STEM, 2)
        inside, stages = STEM, []
        for number, (width, blocks) in enumerate(STAGES):
            stages.append(NanoDetStage(inside, width, blocks, 2 if number else 1))
            inside = 2 * width
        self.stages = nn.ModuleList(stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = F.max_pool2d(self.stem(images), 3, 2, 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[1:]


class Neck(nn.Module):
    """Path aggregation, top-down then bottom-up: backbone maps -> [B, WIDTH, h, w] at STRIDES."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, WIDTH, 1) for c in CHANNELS)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = (conv(x) for conv, x in zip(self.lateral, maps, strict=True))
        middle = middle + _resized(coarse, middle)
        fine = fine + _resized(middle, fine)
        middle = middle + _resized(fine, middle)
        return [fine, middle, coarse + _resized(middle, coarse)]


@dataclass(frozen=True)
class Guesses:
    """The head's predictions at every point of every level, P points; float32."""

    objects: Tensor  # [B, P, OBJECTS]  logits of COCO's classes; the first is a person
    sides: Tensor  # [B, P, 4, BINS]  logits of the distances left, top, right, bottom
    point: Tensor  # [P, 2]  x y, pixels
    stride: Tensor  # [P]  pixels
    level: Tensor  # [P]  0: the finest

    def box(self) -> Tensor:
        """Boxes x1 y1 x2 y2 [B, P, 4], pixels, not clipped: GFL Eq. 5 around each point."""
        bins = torch.arange(BINS, dtype=torch.float32, device=self.sides.device)
        distance = (self.sides.softmax(-1) @ bins) * self.stride[:, None]
        return torch.cat([self.point - distance[..., :2], self.point + distance[..., 2:]], -1)


class NanoDetHead(nn.Module):
    """One convolution, then classes and sides, with separate weights per level."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Conv(WIDTH, WIDTH) for _ in STRIDES)
        self.outputs = nn.ModuleList(nn.Conv2d(WIDTH, OBJECTS + 4 * BINS, 1) for _ in STRIDES)

    def forward(self, maps: list[Tensor]) -> Guesses:
        levels = [out(conv(x)) for conv, out, x in zip(self.convs, self.outputs, maps, strict=True)]
        rows = torch.cat([x.flatten(2).transpose(1, 2) for x in levels], 1).float()
        sides = rows[..., OBJECTS:].view(len(rows), -1, 4, BINS)
        point, stride, level = [], [], []
        for number, (x, step) in enumerate(zip(levels, STRIDES, strict=True)):
            # The published weights were trained with cell centres half a pixel up and left.
            point.append(points(x.shape[2], x.shape[3], step, x.device) - 0.5)
            stride.append(torch.full_like(point[-1][:, 0], step))
            level.append(torch.full_like(point[-1][:, 0], number, dtype=torch.long))
        located = [torch.cat(x) for x in (point, stride, level)]
        return Guesses(rows[..., :OBJECTS], sides, *located)


class KeyFrame(nn.Module):
    """The backbone on a clip's key frame, index T // 2: pixels [B, 3, T, H, W] -> res3..res5.

    One pathway [B, D, 1, h, w] each, at STRIDES. H and W are multiples of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.picture = NanoDetBackbone().requires_grad_(False)
        self.channels = dict(zip(("res3", "res4", "res5"), CHANNELS, strict=True))
        self.strides = dict(zip(("res3", "res4", "res5"), STRIDES, strict=True))

    def forward(self, pixels: Tensor) -> dict[str, list[Tensor]]:
        maps = self.picture(pixels[:, :, pixels.shape[2] // 2])
        return {name: [x[:, :, None]] for name, x in zip(self.channels, maps, strict=True)}


class NanoDet(nn.Module):
    """Images [B, 3, H, W], H and W multiples of 32, normalised by MEAN and STD -> predictions."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = NanoDetBackbone()
        self.neck = Neck()
        self.head = NanoDetHead()

    def forward(self, images: Tensor) -> Guesses:
        guesses: Guesses = self.head(self.neck(self.backbone(images)))
        return guesses


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """Resize maps to the height and width of others."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
