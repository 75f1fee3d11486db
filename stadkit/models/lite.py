"""What photographs taught: the first thirteen blocks of EfficientNet-Lite0, which never learn more.

EfficientNet-Lite (Google, 2020; Apache-2.0) is EfficientNet (Tan and Le 2019) without squeeze
and excitation and with ReLU6. Its batch norms are folded into the convolutions. `weights/photo.py`
reads the published weights; a training leaves them as they are, so that features of photographs
are not unlearned where there are renderings only.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.models.slowfast import STAGES

# Kernel, stride and channels of each block (EfficientNet-B0's, Table 1); the first expands nothing.
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
)
STEM = 32
EXPANSION = 6
LAST = (2, 4, 10, 12)  # of the blocks at strides 4, 8, 16, 32
CHANNELS = tuple(BLOCKS[number][2] for number in LAST)
SPREAD = 7.0  # of the maps' numbers on photographs, about, as a standard deviation


class Lite(nn.Module):
    """Frames [B, 3, H, W] -> maps [B, D, h, w] at strides 4, 8, 16 and 32, D as in CHANNELS.

    H and W are multiples of 32; at other sizes the last rows and columns are not seen by all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM, 3, stride=2)
        inside, blocks = STEM, []
        for number, (kernel, stride, outside) in enumerate(BLOCKS):
            expansion = EXPANSION if number else 1
            blocks.append(InvertedResidual(inside, outside, expansion, kernel, stride))
            inside = outside
        self.blocks = nn.ModuleList(blocks)
        self.requires_grad_(False)

    def forward(self, frames: Tensor) -> list[Tensor]:
        x = F.relu6(self.stem(_padded(frames, 3)))
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return [maps[number] / SPREAD for number in LAST]


class LiteFrames(nn.Module):
    """A backbone that looks at each frame alone; what moves is left to who reads its maps.

    Pixels [B, 3, T, H, W] -> res2..res5 at strides 4 to 32, one pathway [B, D, T, h, w] each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.photo = Lite()
        self.channels = dict(zip(STAGES, CHANNELS, strict=True))

    def forward(self, pixels: Tensor) -> dict[str, list[Tensor]]:
        clips, _, frames = pixels.shape[:3]
        maps = self.photo(pixels.transpose(1, 2).flatten(0, 1))
        by_clip = (x.unflatten(0, (clips, frames)).transpose(1, 2) for x in maps)
        return {name: [x] for name, x in zip(STAGES, by_clip, strict=True)}


class InvertedResidual(nn.Module):
    """Wide, a filter on each channel, narrow again (Sandler et al. 2018).

    [B, inside, h, w] -> [B, outside, h / stride, w / stride].
    """

    def __init__(self, inside: int, outside: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.halves = kernel if stride == 2 else 0
        self.expand = nn.Conv2d(inside, wide, 1) if expansion > 1 else None
        around = 0 if self.halves else kernel // 2
        self.filter = nn.Conv2d(wide, wide, kernel, stride, around, groups=wide)
        self.narrow = nn.Conv2d(wide, outside, 1)
        self.same = inside == outside and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = _padded(y, self.halves) if self.halves else y
        narrow: Tensor = self.narrow(F.relu6(self.filter(y)))
        return x + narrow if self.same else narrow


def _padded(x: Tensor, kernel: int) -> Tensor:
    """Zeros around, as TensorFlow's "same" has them at stride 2: one more at the far ends."""
    total = kernel - 2
    near = total // 2
    return F.pad(x, (near, total - near, near, total - near))
