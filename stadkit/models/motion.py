"""How a person moves, as numbers that nothing has to be learned for: histograms of optical flow.

Histograms of flow (Laptev et al. 2008) say where to each part of a box moves, motion boundary
histograms (Dalal et al. 2006) how flow changes from place to place, so that what moves with the
camera counts for nothing. With a few hundred labelled clips these are worth more than a motion
network: those learn what the few clips look like.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stadkit.layers.roi_align import roi_align
from stadkit.models.optical_flow import gradient, optical_flow

BINS = 8  # of directions
CELLS = 4  # of a box, a side
CHANNELS = 3 * BINS  # flow, and the gradients of its two components
NUMBERS = CHANNELS * CELLS * CELLS
GREY = (0.299, 0.587, 0.114)  # of RGB


def motion_maps(frames: Tensor, sizes: Tensor) -> Tensor:
    """How much moves in each direction at each pixel: [B, CHANNELS, H, W], a mean over time.

    frames [B, 3, T, H, W] RGB levels 0..1, of which sizes [B, 2] (height, width) are picture. In
    pixels a step of time; the camera's motion, the median of a frame's flow, is taken off.
    """
    clips, _, times, height, width = frames.shape
    red, green, blue = frames.unbind(1)
    grey = GREY[0] * red + GREY[1] * green + GREY[2] * blue  # [B, T, H, W]
    first, second = grey[:, :-1].flatten(0, 1)[:, None], grey[:, 1:].flatten(0, 1)[:, None]
    steps = times - 1
    flow = optical_flow(first, second)
    shown = _shown(sizes, height, width).repeat_interleave(steps, 0)  # [B * steps, 1, H, W]
    flow = (flow - _median(flow, shown)) * shown
    x, y = flow[:, :1], flow[:, 1:]
    parts = [directions(x, y), directions(*gradient(x)), directions(*gradient(y))]
    return torch.cat(parts, 1).view(clips, steps, CHANNELS, height, width).mean(1)


def motion_of(maps: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
    """What of `motion_maps` [B, CHANNELS, H, W] is in each box: [n, NUMBERS].

    boxes [n, 4] in pixels of the maps, index [n] their clips. Roots of lengths in hundredths of the
    box's height, so that a person far away moves as one close by.
    """
    cells = roi_align(maps, boxes, index, CELLS, 1.0, 2)
    height = (boxes[:, 3] - boxes[:, 1]).clamp(min=2)[:, None]
    return (cells.flatten(1) * 100 / height).clamp(min=0).sqrt()


def directions(x: Tensor, y: Tensor) -> Tensor:
    """Vectors x y [N, 1, H, W] -> their lengths by direction [N, BINS, H, W].

    A vector's length is shared by the two nearest of BINS directions; the first is along x.
    """
    turn = torch.atan2(y, x) * (BINS / (2 * math.pi))  # -BINS / 2..BINS / 2
    middle = torch.arange(BINS, dtype=x.dtype, device=x.device)[:, None, None]
    away = (turn - middle).abs()
    away = torch.minimum(away, BINS - away)  # bins between a vector and each direction
    return (x * x + y * y).sqrt() * (1 - away).clamp(min=0)


def _shown(sizes: Tensor, height: int, width: int) -> Tensor:
    """1 where a clip [B] is picture, 0 beyond: [B, 1, H, W]."""
    rows = torch.arange(height, device=sizes.device) < sizes[:, :1]  # [B, H]
    columns = torch.arange(width, device=sizes.device) < sizes[:, 1:]  # [B, W]
    return (rows[:, None, :, None] & columns[:, None, None]).float()


def _median(flow: Tensor, shown: Tensor) -> Tensor:
    """The lower median of flow [N, 2, H, W] over what is shown [N, 1, H, W]: [N, 2, 1, 1]."""
    flat = flow.masked_fill(shown == 0, torch.inf).flatten(2).sort(2).values
    middle = ((shown.flatten(1).sum(1).long() - 1) // 2)[:, None, None].expand(-1, 2, 1)
    return flat.gather(2, middle)[..., None]
