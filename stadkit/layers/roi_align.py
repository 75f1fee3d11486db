"""RoIAlign (He et al. 2017, Mask R-CNN) in plain torch, as Detectron2 and MMCV compute it.

Bilinear weights of an upright grid are a product of a weight along y and one along x, and
so is the mean over the samples of a bin. Pooling a box is therefore two small matrix
products, rows x map x columns, for any number of samples: exact, differentiable, and no
gather of single pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def roi_align(
    maps: Tensor,
    boxes: Tensor,
    index: Tensor,
    size: int,
    scale: float,
    sampling: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Cut boxes out of feature maps, each as `size` x `size` cells: [n, D, size, size].

    maps [B, D, h, w]; boxes [n, 4] x1 y1 x2 y2 in pixels of the clip, `scale` cells a pixel;
    index [n], the clip of each box. `sampling` points a bin and axis, 0: as many as the bin
    has cells, rounded up. `aligned` puts cell centres at half cells; False is Detectron 1,
    which also makes boxes at least one cell wide. Beyond the map by up to a cell the border
    repeats, farther out is 0. Gradients reach the maps, not the boxes. Computed in float32.
    """
    clips, depth, height, width = maps.shape
    device = "cpu" if maps.is_meta else maps.device.type  # autocast knows no meta device
    with torch.autocast(device, enabled=False):
        place, most = _places(index, clips)
        box = (boxes.detach().float() * scale).unbind(1)
        rows = _weights(box[1], box[3], height, size, sampling, aligned)  # [n, size, h]
        cols = _weights(box[0], box[2], width, size, sampling, aligned)  # [n, size, w]
        rows, cols = _spread(rows, place, clips * most), _spread(cols, place, clips * most)
        flat = maps.float().permute(0, 2, 3, 1).flatten(2)  # [B, h, w * D]
        tall = rows.view(clips, most * size, height) @ flat  # [B, most * size, w * D]
        tall = tall.view(clips * most, size, width, depth)
        cells = cols[:, None].expand(-1, size, -1, -1) @ tall  # [B * most, size y, size x, D]
        return cells.index_select(0, place).permute(0, 3, 1, 2).to(maps.dtype)


def _places(index: Tensor, clips: int) -> tuple[Tensor, int]:
    """Rows of boxes laid out as [clips, most]: (place [n] of each box, most boxes of a clip)."""
    mine = index[:, None] == torch.arange(clips, device=index.device)  # [n, B]
    rank = (mine.cumsum(0) * mine).sum(1) - 1  # [n] how many of the same clip came before
    most = _largest(rank + 1, len(index))
    return index * most + rank, most


def _spread(weights: Tensor, place: Tensor, total: int) -> Tensor:
    """Weights [n, size, cells] at their places among `total` boxes, zeros elsewhere."""
    return weights.new_zeros(total, *weights.shape[1:]).index_copy(0, place, weights)


def _weights(
    low: Tensor, high: Tensor, cells: int, size: int, sampling: int, aligned: bool
) -> Tensor:
    """How much each cell of one axis counts in each bin: [n, size, cells].

    low, high [n]: the boxes' ends in cells. Rows sum to 1 where the bin lies on the map.
    """
    span = high - low if aligned else (high - low).clamp(min=1)
    start = low - 0.5 if aligned else low
    wanted = torch.full_like(span, sampling) if sampling else (span / size).ceil().clamp(min=0)
    samples = torch.arange(_largest(wanted, 1), device=low.device)  # [S]
    count = wanted[:, None, None].clamp(min=1)  # [n, 1, 1]
    bins = torch.arange(size, device=low.device)[:, None]  # [size, 1]
    step = (bins + (samples + 0.5) / count) / size  # [n, size, S] fractions of the box
    at = start[:, None, None] + step * span[:, None, None]
    used = (samples < wanted[:, None, None]) & (at >= -1) & (at <= cells)
    cell = torch.arange(cells, device=low.device)
    hat = (1 - (at.clamp(0, cells - 1)[..., None] - cell).abs()).clamp(min=0)
    return (hat * used[..., None]).sum(2) / count


def _largest(values: Tensor, unknown: int) -> int:
    """The largest of values [n] (0 if none); `unknown` on the meta device, which has no values."""
    if values.is_meta:
        return unknown
    return int(values.max()) if len(values) else 0
