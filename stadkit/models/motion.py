"""Motion of a person without learned parameters: histograms of dense optical flow.

The flow is pyramidal Lucas-Kanade: Lucas and Kanade 1981 ("An iterative image registration
technique"), coarse to fine as in Bouguet 2000, at every pixel at once; window sums are box filters,
and warping is bilinear sampling.

Histograms of optical flow (Laptev et al. 2008) describe in which direction each part of a box
moves; motion boundary histograms (Dalal et al. 2006) describe the spatial gradients of flow, which
cancel camera motion. With a few hundred labelled clips these work better than a motion network,
which overfits their appearance.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from stadkit.layers.roi_align import roi_align
from stadkit.layers.runtime import exporting

LEVELS = 4  # of the pyramid, each half the size of the previous
ITERATIONS = 3  # at each level
RADIUS = 3  # of the window, pixels: 7 x 7
DAMPING = 1e-3  # of the normal equations, for levels 0..1: no motion in textureless areas
STEP = 2.0  # maximum update per iteration, pixels
SMOOTHING = 1  # radius of the box filter between levels, pixels
BINS = 8  # directions
CELLS = 4  # per side of a box
CHANNELS = 3 * BINS  # flow, and the gradients of its two components
NUMBERS = CHANNELS * CELLS * CELLS
GREY = (0.299, 0.587, 0.114)  # luma weights of RGB


def optical_flow(first: Tensor, second: Tensor) -> Tensor:
    """Flow from the first images to the second: [N, 2, H, W], pixels x y.

    first, second [N, 1, H, W], levels 0..1. Sides are at least 2 ** (LEVELS - 1) pixels.
    """
    flow = None
    for one, other in reversed(list(zip(_pyramid(first), _pyramid(second), strict=True))):
        flow = _refined(one, other, _grown(flow, one))
    assert flow is not None
    return flow


def _refined(first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
    """Refine a level's flow by ITERATIONS Gauss-Newton steps."""
    dx, dy = gradient(first)
    squares = _window(torch.cat([dx * dx, dx * dy, dy * dy], 1), RADIUS)
    xx, xy, yy = squares[:, :1] + DAMPING, squares[:, 1:2], squares[:, 2:] + DAMPING
    det = xx * yy - xy * xy
    for _ in range(ITERATIONS):
        residual = warp(second, flow) - first
        products = _window(torch.cat([dx * residual, dy * residual], 1), RADIUS)
        x, y = products[:, :1], products[:, 1:]
        step = torch.cat([xy * y - yy * x, xy * x - xx * y], 1) / det
        flow = flow + step.clamp(-STEP, STEP)
    return _window(flow, SMOOTHING)


def warp(images: Tensor, flow: Tensor) -> Tensor:
    """Warp images [N, D, H, W] by flow [N, 2, H, W] (pixels); the border repeats."""
    height, width = images.shape[2:]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device)
    at_x = (x + flow[:, 0] + 0.5) * (2 / width) - 1
    at_y = (y + flow[:, 1] + 0.5) * (2 / height) - 1
    at = torch.stack([at_x, at_y], -1)
    return F.grid_sample(images, at, padding_mode="border", align_corners=False)


def gradient(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences of maps [N, D, H, W] along x and y, per pixel; the border repeats."""
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    x = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    return x, (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2


def _window(maps: Tensor, radius: int) -> Tensor:
    """Box filter with squares of 2 radius + 1 pixels, cropped at the border.

    Two products with band matrices: a third of the time of torch's pooling.
    """
    rows, columns = (_band(side, radius, maps) for side in maps.shape[2:])
    # The meta device, where costs are counted, has no autocast.
    with nullcontext() if maps.is_meta else torch.autocast(maps.device.type, enabled=False):
        return rows @ maps @ columns.T


def _band(side: int, radius: int, like: Tensor) -> Tensor:
    """Band matrix [side, side]: row i averages the pixels within `radius` of i."""
    number = torch.arange(side, device=like.device)
    near = ((number[:, None] - number).abs() <= radius).to(like.dtype)
    return near / near.sum(1, keepdim=True)


def _pyramid(images: Tensor) -> list[Tensor]:
    """The images and LEVELS - 1 halvings of them, fine to coarse."""
    levels = [images]
    for _ in range(LEVELS - 1):
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


def _grown(flow: Tensor | None, like: Tensor) -> Tensor:
    """Upsample a coarser level's flow to the size of `like`; zeros at the coarsest."""
    if flow is None:
        return like.new_zeros(len(like), 2, *like.shape[2:])
    return 2 * F.interpolate(flow, size=like.shape[2:], mode="bilinear", align_corners=False)


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
