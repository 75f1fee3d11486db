"""Frozen descriptors of a person over all frames of a clip.

ImageNet features in the person's box and in the whole frame (their mean over time, standard
deviation, and mean absolute change between frames), and the optical-flow histograms of `motion`. A
trained feature extractor overfits a few hundred labelled clips; one linear layer on these
descriptors does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.roi_align import roi_align
from stadkit.layers.runtime import exporting
from stadkit.models import lite, motion

SHRINK = 2 / 3  # scale of the frames that Lite reads, per side
FLOW = 1 / 2  # further scale for optical flow, per side
SAMPLES = 1024  # values sampled per frame to find duplicates
ENLARGE = 1.2  # box scale: in other frames a person may have moved out of the box
DEEP, MIDDLE = 3, 6  # RoI cells per side at strides 32 and 16
MIDDLE_CHANNELS = lite.CHANNELS[2]
# Sizes of the descriptor's parts: the box's deep features, the frame's, the box's middle features,
# and its motion. Each channel has mean, deviation and change over time; middle features are both
# mean- and max-pooled over the box.
PARTS = (3 * lite.WIDE, 3 * lite.WIDE, 6 * MIDDLE_CHANNELS, motion.NUMBERS)
NUMBERS = sum(PARTS)


@dataclass(frozen=True)
class FrameMaps:
    """Feature maps of clips, from which boxes are pooled."""

    middle: Tensor  # [B, T, D, h, w]   Lite's maps at stride 16 of the shrunk frames
    deep: Tensor  # [B, T, D, h / 2, w / 2]  the same at stride 32
    motion: Tensor  # [B, D, H, W]  `motion_maps`, at FLOW times the shrunk frames' size
    sizes: Tensor  # [B, 2]  (height, width) before padding, in pixels of the shrunk frames


class FrameReader(nn.Module):
    """Clips -> `FrameMaps`; `describe`: boxes on these -> descriptors [n, NUMBERS]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        """mean, std [3]: normalisation of the clips' RGB levels, which is undone here."""
        super().__init__()
        self.photo = lite.WholeLite()
        self.register_buffer("mean", mean.view(3, 1, 1), persistent=False)
        self.register_buffer("std", std.view(3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor, sizes: Tensor) -> FrameMaps:
        """pixels [B, 3, T, H, W] normalised; sizes [B, 2] (height, width) before padding."""
        clips, _, times = pixels.shape[:3]
        frames, place = distinct(pixels.transpose(1, 2).flatten(0, 1))  # [N, 3, H, W], [B * T]
        small = _whole_cells(_resized(frames, SHRINK) * self.std + self.mean)
        middle, deep = (x[place].view(clips, times, *x.shape[1:]) for x in self._photo(small))
        shrunk = sizes * SHRINK
        colours = _resized(small, FLOW) / 255
        moves = motion.motion_maps(colours, place.view(clips, times), shrunk * FLOW)
        return FrameMaps(middle, deep, moves, shrunk)

    def _photo(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Lite's maps of frames [N, 3, h, w], a few at a time so that they fit the cache."""
        frames = (levels - lite.CENTRE) / lite.SCALE
        parts = [
            self.photo(x.contiguous(memory_format=torch.channels_last))
            for x in torch.split(frames, lite.FRAMES_AT_ONCE)
        ]
        middle, deep = zip(*parts, strict=True)
        return torch.cat(middle), torch.cat(deep)

    def describe(self, maps: FrameMaps, boxes: Tensor, index: Tensor) -> Tensor:
        """Descriptors [n, NUMBERS] of boxes [n, 4] (pixels of the clips) in clips index [n]."""
        box = _enlarged(boxes.float() * SHRINK)
        whole = F.pad(maps.sizes.flip(1), (2, 0))  # [B, 4]
        every = torch.arange(len(whole), device=whole.device)
        deep = _read(maps.deep, box, index, DEEP, 1 / 32).mean(-1)
        frame = _read(maps.deep, whole, every, DEEP, 1 / 32).mean(-1)
        middle = _read(maps.middle, box, index, MIDDLE, 1 / 16)
        middle = torch.cat([middle.mean(-1), middle.amax(-1)], 2)
        moves = motion.box_motion(maps.motion, box * FLOW, index)
        appearance = [over_time(deep), over_time(frame)[index], over_time(middle)]
        return torch.cat([*appearance, moves], 1)


def distinct(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Deduplicate frames [N, D, H, W]: the distinct ones, and the index [N] of each among them.

    Clips around nearby key times, and at a video's ends, share frames, which are processed once.
    """
    every = torch.arange(len(frames), device=frames.device)
    if frames.is_meta or exporting():
        return frames, every
    values = frames.flatten(1)
    samples = values[:, :: max(values.shape[1] // SAMPLES, 1)]
    unique, place = torch.unique(samples, dim=0, return_inverse=True)
    if len(unique) == len(frames):
        return frames, every
    first = every.new_full((len(unique),), len(frames)).scatter_reduce(0, place, every, "amin")
    if not torch.equal(values, values[first[place]]):  # equal at the sampled values only
        return frames, every
    return frames[first], place


def over_time(x: Tensor) -> Tensor:
    """x [n, T, D] -> [n, 3 D]: mean, standard deviation, and mean absolute change over time."""
    mean, change = x.mean(1), (x[:, 1:] - x[:, :-1]).abs().mean(1)
    # torch.std warns for empty tensors.
    squares = (x - mean[:, None]).square().sum(1)
    return torch.cat([mean, (squares / (x.shape[1] - 1)).sqrt(), change], 1)


def _read(maps: Tensor, boxes: Tensor, index: Tensor, size: int, scale: float) -> Tensor:
    """Pool boxes [n, 4] in all frames of maps [B, T, D, h, w]: [n, T, D, size * size]."""
    times, depth = maps.shape[1:3]
    # Lite's maps may be bfloat16, which is too coarse for differences between frames.
    cells = roi_align(maps.flatten(1, 2).float(), boxes, index, size, scale, 2)
    return cells.view(len(boxes), times, depth, size * size)


def _enlarged(boxes: Tensor) -> Tensor:
    """Boxes [n, 4] scaled by ENLARGE about their centres."""
    margin = (ENLARGE - 1) / 2 * (boxes[:, 2:] - boxes[:, :2])
    return torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], 1)


def _resized(frames: Tensor, by: float) -> Tensor:
    """Frames [N, D, H, W] scaled by a factor per side, with antialiasing."""
    size = [round(side * by) for side in frames.shape[2:]]
    return F.interpolate(frames, size=size, mode="bilinear", antialias=True, align_corners=False)


def _whole_cells(frames: Tensor) -> Tensor:
    """Pad frames to a multiple of 32 pixels by replicating the border."""
    height, width = frames.shape[2:]
    return F.pad(frames, (0, -width % 32, 0, -height % 32), mode="replicate")
