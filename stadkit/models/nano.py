"""The backbone of `mestad-tiny`: a SlowFast of three GMACs.

The slow pathway reads only the key frame, at full resolution, since one image suffices to locate
people. Its features are `Lite`'s, frozen after training on photographs, and the pyramid reads
nothing else: layers trained on renderings would learn what renderings look like. The fast pathway,
for motion, reads every frame at three quarters of the resolution, and its maps have an eighth of
that. Fast features are added to the slow ones at strides 8 and 16. The last stage of both returns
to stride 8, so that RoIs keep the layout of a body (at stride 16 a person is two cells wide).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.conv import Conv3d
from stadkit.layers.pyramid import stretch
from stadkit.models import lite

SHRINK = 0.75  # scale of the fast pathway's frames, per side


@dataclass(frozen=True)
class NanoConfig:
    """Channels of the trained layers: slow res3..res5 and fast res2..res5."""

    slow: tuple[int, int, int] = (96, 192, 96)
    fast: tuple[int, int, int, int] = (32, 48, 96, 96)
    entry: int = 160  # slow channels of res4 where fast features are added


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


class NanoBlock(nn.Module):
    """Two convolutions and a shortcut; the second's norm starts at 0, the block as its shortcut.

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
        same_shape = inside == outside and stride == 1
        projection = nn.Identity() if same_shape else ConvNorm(inside, outside, (1, 1, 1), stride)
        self.shortcut = projection
        nn.init.zeros_(self.b[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.a(x))
        return F.relu(self.shortcut(x) + self.b(y))


SPACE = (1, 3, 3)
TIME = (3, 1, 1)
BOTH = (3, 3, 3)


class NanoStem(nn.Module):
    """Pixels -> maps at `stride`, with a kernel 1.5 strides wide.

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


class NanoFusion(nn.Module):
    """Add fast features to the slow pathway: their mean over time and the key frame's.

    slow [B, slow, 1, h, w] and fast [B, fast, T, h', w'] -> [B, slow, 1, h, w].
    """

    def __init__(self, fast: int, slow: int) -> None:
        super().__init__()
        self.conv = ConvNorm(2 * fast, slow, (1, 1, 1))

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        key = fast.shape[2] // 2
        both = torch.cat([fast.mean(2, keepdim=True), fast[:, :, key : key + 1]], 1)
        return F.relu(slow + _grown(self.conv(both), 1 / SHRINK, slow))


def _grown(maps: Tensor, factor: float, like: Tensor, mode: str = "bilinear") -> Tensor:
    """Upsample maps [B, D, T, h, w] by `factor`, to the height and width of `like`.

    Scaled by the factor, then cropped or border-padded: resizing to the exact size would make cell
    positions depend on the clip's padding.
    """
    height, width = like.shape[3:]
    if maps.shape[3:] == (height, width):
        return maps
    grown = _by_frame(maps, mode=mode, scale_factor=factor)
    missing = (0, max(width - grown.shape[4], 0), 0, max(height - grown.shape[3], 0), 0, 0)
    if any(missing):
        grown = F.pad(grown, missing, mode="replicate")
    return grown[..., :height, :width]


def _by_frame(frames: Tensor, **to: Any) -> Tensor:
    """Interpolate frames or maps [B, D, T, h, w] frame by frame; `to`: size or scale_factor."""
    flat = frames.transpose(1, 2).flatten(0, 1)
    new = F.interpolate(flat, **to)
    return new.view(len(frames), frames.shape[2], *new.shape[1:]).transpose(1, 2)


class Merge(nn.Module):
    """Upsample deep maps at stride 16 by 2 and add them to shallower ones at stride 8.

    deep [B, deep, T, h / 2, w / 2] and shallow [B, shallow, T, h, w] -> [B, outside, T, h, w].
    """

    def __init__(self, deep: int, shallow: int, outside: int, smooth: bool) -> None:
        super().__init__()
        self.deep = ConvNorm(deep, outside, (1, 1, 1))
        self.shallow = ConvNorm(shallow, outside, (1, 1, 1))
        self.smooth = NanoBlock(outside, outside, SPACE, SPACE) if smooth else nn.Identity()

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        doubled = _grown(self.deep(deep), 2, shallow, "nearest")
        merged: Tensor = self.smooth(F.relu(doubled + self.shallow(shallow)))
        return merged


class Nano(nn.Module):
    """Pixels [B, 3, T, H, W] -> res2..res5 of the key frame, pathways [B, D, 1, h, w].

    The key frame is clip index T // 2. res2..res4 are Lite's maps at strides 4, 8 and 16 (res4 with
    those at 32 concatenated); res5, for actions, is slow, and the mean of fast over time.
    """

    def __init__(self, config: NanoConfig | None = None) -> None:
        super().__init__()
        config = config or NanoConfig()
        s3, s4, s5 = config.slow
        f2, f3, f4, f5 = config.fast
        self.photo = lite.Lite()
        p2, p3, p4, p5 = lite.CHANNELS
        self.slow3 = ConvNorm(p3, s3, (1, 1, 1))
        self.slow4 = ConvNorm(p4 + p5, config.entry, (1, 1, 1))
        self.slow4_wide = nn.Sequential(
            NanoBlock(config.entry, s4, SPACE, SPACE, dilation=2),
            NanoBlock(s4, s4, SPACE, SPACE, dilation=2),
        )
        self.slow_merge = Merge(s4, s3, s5, smooth=True)
        self.fast_stem = NanoStem(f2, 8, 3)
        self.fast2 = NanoBlock(f2, f2, BOTH, SPACE)
        self.fast3 = NanoBlock(f2, f3, BOTH, SPACE)
        self.fast4 = nn.Sequential(
            NanoBlock(f3, f4, SPACE, BOTH, 2), NanoBlock(f4, f4, SPACE, BOTH)
        )
        self.fast4_wide = NanoBlock(f4, f4, SPACE, TIME, dilation=2)
        self.fast_merge = Merge(f4, f3, f5, smooth=False)
        self.fuse3 = NanoFusion(f3, s3)
        self.fuse4 = NanoFusion(f4, config.entry)
        self.channels = {"res2": p2, "res3": p3, "res4": p4 + p5, "res5": s5 + f5}
        self.strides = {"res2": 4, "res3": 8, "res4": 16, "res5": 8}

    def forward(self, pixels: Tensor) -> dict[str, list[Tensor]]:
        photo2, photo3, photo4 = self._photo(pixels)
        fast3, fast4 = self._fast(pixels)
        fused3 = self.fuse3(self.slow3(photo3), fast3)
        fused4 = self.fuse4(self.slow4(photo4), fast4)
        slow = self.slow_merge(self.slow4_wide(fused4), fused3)
        fast = self.fast_merge(self.fast4_wide(fast4), fast3).mean(2, keepdim=True)
        return {
            "res2": [photo2],
            "res3": [photo3],
            "res4": [photo4],
            "res5": [slow, _grown(fast, 1 / SHRINK, slow)],
        }

    def _photo(self, pixels: Tensor) -> list[Tensor]:
        """Lite's maps of the key frame at strides 4, 8 and 16."""
        maps = self.photo(pixels[:, :, pixels.shape[2] // 2])
        size = (maps[2].shape[2], maps[2].shape[3])
        deepest = torch.cat([maps[2], stretch(maps[3], size)], 1)
        return [x[:, :, None] for x in (maps[0], maps[1], deepest)]

    def _fast(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The fast pathway's res3 and res4."""
        size = [max(int(side * SHRINK), 8) for side in pixels.shape[3:]]
        fast3 = self.fast3(
            self.fast2(self.fast_stem(_by_frame(pixels, mode="bilinear", size=size)))
        )
        return fast3, self.fast4(fast3)
