"""Dense optical flow by pyramidal Lucas-Kanade: nothing in it is learned.

Lucas and Kanade 1981 ("An iterative image registration technique"), coarse to fine as Bouguet 2000
has it, at every pixel at once: sums over windows are box filters, and warping is bilinear sampling.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 4  # of the pyramid, each half as large as the one before
ITERATIONS = 3  # at each level
RADIUS = 3  # of the window, pixels: 7 x 7
DAMPING = 1e-3  # of the normal equations, for levels 0..1: no motion where nothing has structure
STEP = 2.0  # pixels a level's iteration moves at most
SMOOTHING = 1  # radius of the box filter between levels, pixels


def optical_flow(first: Tensor, second: Tensor) -> Tensor:
    """Where each pixel of the first pictures is in the second: [N, 2, H, W], pixels x y.

    first, second [N, 1, H, W], levels 0..1. Sides are at least 2 ** (LEVELS - 1) pixels.
    """
    flow = None
    for one, other in reversed(list(zip(_pyramid(first), _pyramid(second), strict=True))):
        flow = _refined(one, other, _grown(flow, one))
    assert flow is not None
    return flow


def _refined(first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
    """A level's flow after ITERATIONS of Gauss-Newton."""
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


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """Pictures [N, D, H, W] read where flow [N, 2, H, W] (pixels) points; their border repeats."""
    height, width = pictures.shape[2:]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device)
    at_x = (x + flow[:, 0] + 0.5) * (2 / width) - 1
    at_y = (y + flow[:, 1] + 0.5) * (2 / height) - 1
    at = torch.stack([at_x, at_y], -1)
    return F.grid_sample(pictures, at, padding_mode="border", align_corners=False)


def gradient(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences of maps [N, D, H, W] along x and y, a pixel; the border repeats."""
    wide = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    x = (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]) / 2
    return x, (wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]) / 2


def _window(maps: Tensor, radius: int) -> Tensor:
    """Means over squares of 2 radius + 1 pixels, as far as there are pixels.

    Two products with band matrices: a third of the time of torch's pooling.
    """
    rows, columns = (_band(side, radius, maps) for side in maps.shape[2:])
    # Of the meta device, where costs are counted, there is no autocast.
    with nullcontext() if maps.is_meta else torch.autocast(maps.device.type, enabled=False):
        return rows @ maps @ columns.T


def _band(side: int, radius: int, like: Tensor) -> Tensor:
    """[side, side]: each row is the mean over its pixel and `radius` beside it."""
    number = torch.arange(side, device=like.device)
    near = ((number[:, None] - number).abs() <= radius).to(like.dtype)
    return near / near.sum(1, keepdim=True)


def _pyramid(pictures: Tensor) -> list[Tensor]:
    """The pictures, and halves of them."""
    levels = [pictures]
    for _ in range(LEVELS - 1):
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


def _grown(flow: Tensor | None, like: Tensor) -> Tensor:
    """A coarser level's flow at the size of a finer one; zeros at the coarsest."""
    if flow is None:
        return like.new_zeros(len(like), 2, *like.shape[2:])
    return 2 * F.interpolate(flow, size=like.shape[2:], mode="bilinear", align_corners=False)
