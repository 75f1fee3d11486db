"""Hand-crafted motion descriptors of a person: histograms of optical flow.

Histograms of optical flow (Laptev et al. 2008) describe in which direction each part of a box
moves; motion boundary histograms (Dalal et al. 2006) describe the spatial gradients of flow, which
cancel camera motion. With a few hundred labelled clips these work better than a motion network,
which overfits their appearance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stadkit.layers.roi_align import roi_align
from stadkit.layers.runtime import exporting
from stadkit.models.optical_flow import gradient, optical_flow

BINS = 8  # directions
CELLS = 4  # per side of a box
CHANNELS = 3 * BINS  # flow, and the gradients of its two components
NUMBERS = CHANNELS * CELLS * CELLS
GREY = (0.299, 0.587, 0.114)  # luma weights of RGB


def motion_maps(frames: Tensor, place: Tensor, sizes: Tensor) -> Tensor:
    """Motion by direction at each pixel, averaged over time: [B, CHANNELS, H, W].

    frames [N, 3, H, W] RGB levels 0..1; place [B, T]: indices of each clip's frames; sizes [B, 2]
    (height, width) before padding. In pixels per time step; camera motion, the median of a frame's
    flow, is subtracted.
    """
    clips, steps = place.shape[0], place.shape[1] - 1
    grey = (frames * frames.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)
    pairs = torch.stack([place[:, :-1].flatten(), place[:, 1:].flatten()], 1)
    mask = _inside(sizes, *frames.shape[2:]).repeat_interleave(steps, 0)  # [B * steps, 1, H, W]
    pairs, mask, which = _distinct(pairs, sizes.repeat_interleave(steps, 0), mask)
    flow = optical_flow(grey[pairs[:, 0]], grey[pairs[:, 1]])
    flow = (flow - _median(flow, mask)) * mask
    x, y = flow[:, :1], flow[:, 1:]
    parts = [directions(x, y), directions(*gradient(x)), directions(*gradient(y))]
    moves = torch.cat(parts, 1) * mask  # drops gradients across the border of the padding
    return torch.stack([moves[rows].mean(0) for rows in which.view(clips, steps)])


def _distinct(pairs: Tensor, sizes: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Deduplicate frame pairs [n, 2] with sizes [n, 2]: (pairs, masks, index [n] of each)."""
    every = torch.arange(len(pairs), device=pairs.device)
    if pairs.is_meta or exporting():
        return pairs, mask, every
    unique, which = torch.unique(torch.cat([pairs, sizes], 1), dim=0, return_inverse=True)
    first = every.new_full((len(unique),), len(pairs)).scatter_reduce(0, which, every, "amin")
    return pairs[first], mask[first], which


def box_motion(maps: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
    """Pool `motion_maps` [B, CHANNELS, H, W] in boxes: [n, NUMBERS].

    boxes [n, 4] in pixels of the maps, index [n] their clips. Square roots of lengths in hundredths
    of the box height, so that motion does not depend on a person's distance.
    """
    cells = roi_align(maps, boxes, index, CELLS, 1.0, 2)
    height = (boxes[:, 3] - boxes[:, 1]).clamp(min=2)[:, None]
    return (cells.flatten(1) * 100 / height).clamp(min=0).sqrt()


def directions(x: Tensor, y: Tensor) -> Tensor:
    """Vectors x y [N, 1, H, W] -> their lengths by direction [N, BINS, H, W].

    A vector's length is split between the two nearest of BINS directions; the first is along x.
    """
    angle = torch.atan2(y, x) * (BINS / (2 * math.pi))  # -BINS / 2..BINS / 2
    centre = torch.arange(BINS, dtype=x.dtype, device=x.device)[:, None, None]
    distance = (angle - centre) % BINS
    distance = torch.minimum(distance, BINS - distance)  # bins from a vector to each direction
    return (x * x + y * y).sqrt() * (1 - distance).clamp(min=0)


def _inside(sizes: Tensor, height: int, width: int) -> Tensor:
    """Masks [B, 1, H, W] of unpadded pixels, 1 or 0, from sizes [B, 2]."""
    rows = torch.arange(height, device=sizes.device) < sizes[:, :1]  # [B, H]
    columns = torch.arange(width, device=sizes.device) < sizes[:, 1:]  # [B, W]
    return (rows[:, None, :, None] & columns[:, None, None]).float()


def _median(flow: Tensor, mask: Tensor) -> Tensor:
    """The lower median of flow [N, 2, H, W] over mask [N, 1, H, W]: [N, 2, 1, 1]."""
    if not exporting():
        inside = flow.masked_fill(mask == 0, torch.nan).flatten(2)
        return inside.nanmedian(2).values[..., None, None]
    # ONNX has no nanmedian.
    ordered = flow.masked_fill(mask == 0, torch.inf).flatten(2).sort(2).values
    middle = ((mask.flatten(1).sum(1).long() - 1) // 2)[:, None, None].expand(-1, 2, 1)
    return ordered.gather(2, middle)[..., None]
