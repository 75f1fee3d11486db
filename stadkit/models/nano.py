"""The backbone of `mestad-nano`: SlowFast's idea at two GMAC.

The slow pathway sees the key frame alone, at full resolution and with most channels: where
people are is a question to one picture. The fast pathway sees every frame at an eighth of
the resolution: what they do is a question of motion. Fast features join the slow ones by
addition after res3 and within res4. The last stage of both comes back to stride 8, so that RoIs
keep the layout of a body (at stride 16 a person is two cells wide).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.conv import Conv3d


@dataclass(frozen=True)
class NanoConfig:
    """Channels of res2..res5 in each pathway."""

    slow: tuple[int, int, int, int] = (48, 96, 192, 96)
    fast: tuple[int, int, int, int] = (32, 48, 96, 96)
    entry: int = 160  # slow channels of res4's first blocks, before fast features join


class ConvNorm(nn.Sequential):
    """3D convolution with batch norm, padded so that stride 1 keeps the size."""

    def __init__(
        self,
        inside: int,
        outside: int,
        kernel: tuple[int, int, int],
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        time, rows, columns = kernel
        padding = (time // 2, dilation * (rows // 2), dilation * (columns // 2))
        super().__init__(
            Conv3d(
                inside,
                outside,
                kernel,
                stride=(1, stride, stride),
                padding=padding,
                dilation=(1, dilation, dilation),
                bias=False,
            ),
            nn.BatchNorm3d(outside),
        )


class Block(nn.Module):
    """Two convolutions and a shortcut; the second starts at zero, so a block starts as one.

    [B, inside, T, h, w] -> [B, outside, T, h / stride, w / stride], sides rounded up.
    """

    def __init__(
        self,
        inside: int,
        outside: int,
        first: tuple[int, int, int],
        second: tuple[int, int, int],
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.a = ConvNorm(inside, outside, first, stride, dilation)
        self.b = ConvNorm(outside, outside, second, 1, dilation)
        same = inside == outside and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(inside, outside, (1, 1, 1), stride)
        nn.init.zeros_(self.b[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.a(x))
        return F.relu(self.shortcut(x) + self.b(y))


SPACE = (1, 3, 3)
TIME = (3, 1, 1)
BOTH = (3, 3, 3)


class Stem(nn.Module):
    """Pixels -> `stride` times smaller maps, each cell from a window 1.5 strides wide.

    [B, 3, T, H, W] -> [B, outside, T, H / stride, W / stride], sides rounded.
    """

    def __init__(self, outside: int, stride: int, time: int) -> None:
        super().__init__()
        self.conv = Conv3d(
            3,
            outside,
            (time, stride * 3 // 2, stride * 3 // 2),
            stride=(1, stride, stride),
            padding=(time // 2, stride // 4, stride // 4),
            bias=False,
        )
        self.norm = nn.BatchNorm3d(outside)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Fuse(nn.Module):
    """Fast features for the slow pathway: their mean over time beside the key frame's.

    slow [B, slow, 1, h, w] and fast [B, fast, T, h', w'], the same size but for rounding,
    -> [B, slow, 1, h, w].
    """

    def __init__(self, fast: int, slow: int) -> None:
        super().__init__()
        self.conv = ConvNorm(2 * fast, slow, (1, 1, 1))

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        key = fast.shape[2] // 2
        both = torch.cat([fast.mean(2, keepdim=True), fast[:, :, key : key + 1]], 1)
        joined = self.conv(both)
        if joined.shape != slow.shape:  # sides that 16 does not divide
            joined = F.interpolate(joined, size=slow.shape[2:], mode="nearest")
        return F.relu(slow + joined)


class Merge(nn.Module):
    """Deep maps at stride 16 doubled and added to shallower ones at stride 8.

    deep [B, deep, T, h / 2, w / 2] and shallow [B, shallow, T, h, w] -> [B, outside, T, h, w].
    """

    def __init__(self, deep: int, shallow: int, outside: int, smooth: bool) -> None:
        super().__init__()
        self.deep = ConvNorm(deep, outside, (1, 1, 1))
        self.shallow = ConvNorm(shallow, outside, (1, 1, 1))
        self.smooth = Block(outside, outside, SPACE, SPACE) if smooth else nn.Identity()

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        time, rows, columns = shallow.shape[2:]
        grown = F.interpolate(self.deep(deep), size=(time, rows, columns), mode="nearest")
        merged: Tensor = self.smooth(F.relu(grown + self.shallow(shallow)))
        return merged


class Nano(nn.Module):
    """Pixels [B, 3, T, H, W] -> res2..res5, each [slow [B, D, 1, h, w], fast [B, D, T, h, w]].

    The slow pathway's frame is clip index T // 2.
    """

    def __init__(self, config: NanoConfig | None = None) -> None:
        super().__init__()
        config = config or NanoConfig()
        s2, s3, s4, s5 = config.slow
        f2, f3, f4, f5 = config.fast
        self.slow_stem = Stem(s2, 4, 1)
        self.slow2 = Block(s2, s2, SPACE, SPACE)
        self.slow3 = nn.Sequential(Block(s2, s3, SPACE, SPACE, 2), Block(s3, s3, SPACE, SPACE))
        entry = config.entry
        self.slow4 = nn.Sequential(
            Block(s3, entry, SPACE, SPACE, 2), Block(entry, entry, SPACE, SPACE)
        )
        self.slow4_wide = nn.Sequential(
            Block(entry, s4, SPACE, SPACE, dilation=2), Block(s4, s4, SPACE, SPACE, dilation=2)
        )
        self.slow_merge = Merge(s4, s3, s5, smooth=True)
        self.fast_stem = Stem(f2, 8, 3)
        self.fast2 = Block(f2, f2, BOTH, SPACE)
        self.fast3 = Block(f2, f3, BOTH, SPACE)
        self.fast4 = nn.Sequential(Block(f3, f4, SPACE, BOTH, 2), Block(f4, f4, SPACE, BOTH))
        self.fast4_wide = Block(f4, f4, SPACE, TIME, dilation=2)
        self.fast_merge = Merge(f4, f3, f5, smooth=False)
        self.fuse3 = Fuse(f3, s3)
        self.fuse4 = Fuse(f4, entry)
        names = ("res2", "res3", "res4", "res5")
        sums = (slow + fast for slow, fast in zip(config.slow, config.fast, strict=True))
        self.channels = dict(zip(names, sums, strict=True))
        self.strides = dict(zip(names, (4, 8, 16, 8), strict=True))

    def forward(self, pixels: Tensor) -> dict[str, list[Tensor]]:
        key = pixels.shape[2] // 2
        fast2 = self.fast2(self.fast_stem(pixels))
        fast3 = self.fast3(fast2)
        fast4 = self.fast4(fast3)
        fast4_wide = self.fast4_wide(fast4)
        slow2 = self.slow2(self.slow_stem(pixels[:, :, key : key + 1]))
        slow3 = self.slow3(slow2)
        fused3 = self.fuse3(slow3, fast3)
        # The pyramid reads res4, so the wide blocks belong to it: a person fills the picture.
        slow4_wide = self.slow4_wide(self.fuse4(self.slow4(fused3), fast4))
        return {
            "res2": [slow2, fast2],
            "res3": [slow3, fast3],
            "res4": [slow4_wide, fast4_wide],
            "res5": [self.slow_merge(slow4_wide, fused3), self.fast_merge(fast4_wide, fast3)],
        }
