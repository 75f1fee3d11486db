"""What all frames of a clip show of a person, in numbers that nothing learns.

ImageNet's features at the person's box in each frame, and in the whole picture: their mean over
time, their deviation, and how much they change from frame to frame; and the histograms of optical
flow of `motion`. A few hundred labelled clips overfit anything that learns to see; one layer over
these numbers does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.roi_align import roi_align
from stadkit.layers.runtime import exporting
from stadkit.models import lite, motion

SHRINK = 2 / 3  # of the clip's frames, a side, as Lite sees them
FLOW = 1 / 2  # of those again, a side, for optical flow
SAMPLES = 1024  # numbers by which frames are told apart
AROUND = 1.2  # of the box is read: in other frames a person may be beside it
DEEP, MIDDLE = 3, 6  # cells a side that a box is read as, at strides 32 and 16
MIDDLE_CHANNELS = lite.CHANNELS[2]
# How many numbers tell of the box's deep features, the picture's, the box's middle ones, and its
# motion. Of each channel: mean, deviation and change over time; of middle ones the box's mean and
# most.
PARTS = (3 * lite.WIDE, 3 * lite.WIDE, 6 * MIDDLE_CHANNELS, motion.NUMBERS)
NUMBERS = sum(PARTS)


@dataclass(frozen=True)
class FrameMaps:
    """What the frames of clips show, before anybody asks about a box."""

    middle: Tensor  # [B, T, D, h, w]   Lite's maps at stride 16 of the shrunk frames
    deep: Tensor  # [B, T, D, h / 2, w / 2]  and at stride 32
    motion: Tensor  # [B, D, H, W]  `motion_maps`, at FLOW of the shrunk frames
    sizes: Tensor  # [B, 2]  (height, width) of what is picture, in pixels of the shrunk frames


class FrameReader(nn.Module):
    """Clips -> `FrameMaps`, and boxes -> NUMBERS of what these show."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        """mean, std [3]: by which the clips' RGB levels were normalised."""
        super().__init__()
        self.photo = lite.WholeLite()
        self.register_buffer("mean", mean.view(3, 1, 1), persistent=False)
        self.register_buffer("std", std.view(3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor, sizes: Tensor) -> FrameMaps:
        """pixels [B, 3, T, H, W] normalised, of which sizes [B, 2] (height, width) are picture."""
        clips, _, times = pixels.shape[:3]
        frames, place = distinct(pixels.transpose(1, 2).flatten(0, 1))  # [N, 3, H, W], [B * T]
        small = _whole_cells(_resized(frames, SHRINK) * self.std + self.mean)
        middle, deep = (x[place].view(clips, times, *x.shape[1:]) for x in self._photo(small))
        shrunk = sizes * SHRINK
        colours = _resized(small, FLOW) / 255
        moves = motion.motion_maps(colours, place.view(clips, times), shrunk * FLOW)
        return FrameMaps(middle, deep, moves, shrunk)

    def _photo(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Lite's maps of frames [N, 3, h, w], a few at a time, so that they stay in the cache."""
        frames = (levels - lite.CENTRE) / lite.SCALE
        parts = [
            self.photo(x.contiguous(memory_format=torch.channels_last))
            for x in torch.split(frames, lite.FEW)
        ]
        middle, deep = zip(*parts, strict=True)
        return torch.cat(middle), torch.cat(deep)

    def describe(self, maps: FrameMaps, boxes: Tensor, index: Tensor) -> Tensor:
        """What is seen of boxes [n, 4] (pixels of the clips) in clips index [n]: [n, NUMBERS]."""
        box = _enlarged(boxes.float() * SHRINK)
        whole = F.pad(maps.sizes.flip(1), (2, 0))  # [B, 4]
        every = torch.arange(len(whole), device=whole.device)
        deep = _read(maps.deep, box, index, DEEP, 1 / 32).mean(-1)
        picture = _read(maps.deep, whole, every, DEEP, 1 / 32).mean(-1)
        middle = _read(maps.middle, box, index, MIDDLE, 1 / 16)
        middle = torch.cat([middle.mean(-1), middle.amax(-1)], 2)
        moves = motion.motion_of(maps.motion, box * FLOW, index)
        over = [over_time(deep), over_time(picture)[index], over_time(middle)]
        return torch.cat([*over, moves], 1)


def distinct(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Each of frames [N, D, H, W] once, and where each is among these [N].

    Clips around near key times, and at a video's ends, share frames: these are looked at once.
    """
    every = torch.arange(len(frames), device=frames.device)
    if frames.is_meta or exporting():
        return frames, every
    values = frames.flatten(1)
    some = values[:, :: max(values.shape[1] // SAMPLES, 1)]
    kinds, place = torch.unique(some, dim=0, return_inverse=True)
    if len(kinds) == len(frames):
        return frames, every
    first = every.new_full((len(kinds),), len(frames)).scatter_reduce(0, place, every, "amin")
    if not torch.equal(values, values[first[place]]):  # alike only where samples were taken
        return frames, every
    return frames[first], place


def over_time(numbers: Tensor) -> Tensor:
    """Numbers [n, T, D] -> [n, 3 D]: mean, deviation, and mean change from frame to frame."""
    mean, change = numbers.mean(1), (numbers[:, 1:] - numbers[:, :-1]).abs().mean(1)
    # As torch.std, which warns where there is nobody.
    squares = (numbers - mean[:, None]).square().sum(1)
    return torch.cat([mean, (squares / (numbers.shape[1] - 1)).sqrt(), change], 1)


def _read(maps: Tensor, boxes: Tensor, index: Tensor, size: int, scale: float) -> Tensor:
    """Boxes [n, 4] cut out of all frames of maps [B, T, D, h, w]: [n, T, D, size * size]."""
    times, depth = maps.shape[1:3]
    # Lite's maps may be in bfloat16, which does not tell how little frames differ.
    cells = roi_align(maps.flatten(1, 2).float(), boxes, index, size, scale, 2)
    return cells.view(len(boxes), times, depth, size * size)


def _enlarged(boxes: Tensor) -> Tensor:
    """AROUND times boxes [n, 4], about their centres."""
    more = (AROUND - 1) / 2 * (boxes[:, 2:] - boxes[:, :2])
    return torch.cat([boxes[:, :2] - more, boxes[:, 2:] + more], 1)


def _resized(frames: Tensor, by: float) -> Tensor:
    """Frames [N, D, H, W] a share as large, each new pixel from all the old ones that it covers."""
    size = [round(side * by) for side in frames.shape[2:]]
    return F.interpolate(frames, size=size, mode="bilinear", antialias=True, align_corners=False)


def _whole_cells(frames: Tensor) -> Tensor:
    """Frames whose border repeats up to the next multiple of 32 pixels."""
    height, width = frames.shape[2:]
    return F.pad(frames, (0, -width % 32, 0, -height % 32), mode="replicate")
