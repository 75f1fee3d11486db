"""Dense optical flow by pyramidal Lucas-Kanade, without learned parameters.

Lucas and Kanade 1981 ("An iterative image registration technique"), coarse to fine as in Bouguet
2000, at every pixel at once: window sums are box filters, and warping is bilinear sampling.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 4  # of the pyramid, each half the size of the previous
ITERATIONS = 3  # at each level
RADIUS = 3  # of the window, pixels: 7 x 7
DAMPING = 1e-3  # of the normal equations, for levels 0..1: no motion in textureless areas
STEP = 2.0  # maximum update per iteration, pixels
SMOOTHING = 1  # radius of the box filter between levels, pixels


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
