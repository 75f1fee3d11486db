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
from stadkit.layers.runtime import exporting
from stadkit.models.optical_flow import gradient, optical_flow

BINS = 8  # of directions
CELLS = 4  # of a box, a side
CHANNELS = 3 * BINS  # flow, and the gradients of its two components
NUMBERS = CHANNELS * CELLS * CELLS
GREY = (0.299, 0.587, 0.114)  # of RGB


def motion_maps(frames: Tensor, place: Tensor, sizes: Tensor) -> Tensor:
    """How much moves in each direction at each pixel: [B, CHANNELS, H, W], a mean over time.

    frames [N, 3, H, W] RGB levels 0..1; place [B, T]: which of them are a clip's frames; sizes
    [B, 2] (height, width): what of them is picture. In pixels a step of time; the camera's motion,
    the median of a frame's flow, is taken off.
    """
    clips, steps = place.shape[0], place.shape[1] - 1
    grey = (frames * frames.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)
    pairs = torch.stack([place[:, :-1].flatten(), place[:, 1:].flatten()], 1)
    shown = _shown(sizes, *frames.shape[2:]).repeat_interleave(steps, 0)  # [B * steps, 1, H, W]
    pairs, shown, which = _distinct(pairs, sizes.repeat_interleave(steps, 0), shown)
    flow = optical_flow(grey[pairs[:, 0]], grey[pairs[:, 1]])
    flow = (flow - _median(flow, shown)) * shown
    x, y = flow[:, :1], flow[:, 1:]
    parts = [directions(x, y), directions(*gradient(x)), directions(*gradient(y))]
    moves = torch.cat(parts, 1) * shown  # where the picture ends, no motion does
    return torch.stack([moves[own].mean(0) for own in which.view(clips, steps)])


def _distinct(pairs: Tensor, sizes: Tensor, shown: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each of pairs [n, 2] with sizes [n, 2] once, with what is shown, and where each is [n]."""
    every = torch.arange(len(pairs), device=pairs.device)
    if pairs.is_meta or exporting():
        return pairs, shown, every
    kinds, which = torch.unique(torch.cat([pairs, sizes], 1), dim=0, return_inverse=True)
    first = every.new_full((len(kinds),), len(pairs)).scatter_reduce(0, which, every, "amin")
    return pairs[first], shown[first], which


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
    away = (turn - middle) % BINS
    away = torch.minimum(away, BINS - away)  # bins between a vector and each direction
    return (x * x + y * y).sqrt() * (1 - away).clamp(min=0)


def _shown(sizes: Tensor, height: int, width: int) -> Tensor:
    """1 where a clip [B] is picture, 0 beyond: [B, 1, H, W]."""
    rows = torch.arange(height, device=sizes.device) < sizes[:, :1]  # [B, H]
    columns = torch.arange(width, device=sizes.device) < sizes[:, 1:]  # [B, W]
    return (rows[:, None, :, None] & columns[:, None, None]).float()


def _median(flow: Tensor, shown: Tensor) -> Tensor:
    """The lower median of flow [N, 2, H, W] over what is shown [N, 1, H, W]: [N, 2, 1, 1]."""
    if not exporting():
        picture = flow.masked_fill(shown == 0, torch.nan).flatten(2)
        return picture.nanmedian(2).values[..., None, None]
    # ONNX has no nanmedian.
    ordered = flow.masked_fill(shown == 0, torch.inf).flatten(2).sort(2).values
    middle = ((shown.flatten(1).sum(1).long() - 1) // 2)[:, None, None].expand(-1, 2, 1)
    return ordered.gather(2, middle)[..., None]
