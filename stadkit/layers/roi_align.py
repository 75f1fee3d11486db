"""RoIAlign (He et al. 2017, Mask R-CNN) in plain torch, as Detectron2 and MMCV compute it.

On an axis-aligned grid, bilinear weights factor into a weight along y and one along x, and so
does the mean over the samples of a bin. Pooling a box is therefore two small matrix products,
rows x map x columns, for any number of samples: exact, differentiable, and without gathering
single pixels. On a pyramid, boxes read few cells of large maps; there each bin is a weighted sum
of its cells, in one pass for all levels.

Computed in float64 for float64 maps, else in float32. On the meta device only shapes are
computed, so cost counts exclude pooling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from stadkit.layers.runtime import exporting

# Elements that `Cells.strongest` computes at once: on a CPU (2 MB fit in a cache), on a GPU.
ELEMENTS_AT_ONCE = (2**19, 2**27)


def roi_align(
    maps: Tensor,
    boxes: Tensor,
    index: Tensor,
    size: int,
    scale: float,
    sampling: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Pool boxes from feature maps to `size` x `size` bins each: [n, D, size, size].

    maps [B, D, h, w]; boxes [n, 4] x1 y1 x2 y2 in pixels of the clip, `scale` cells per pixel;
    index [n], the clip of each box. sampling: points per bin and axis; 0: the bin's size in
    cells, rounded up. aligned: cell centres lie at half cells; False as in Detectron 1, where
    boxes are also at least one cell wide. Samples up to one cell outside the map read the
    replicated border, farther ones 0. Gradients reach the maps, not the boxes.
    """
    clips, depth, height, width = maps.shape
    if maps.is_meta:
        return maps.new_empty(len(boxes), depth, size, size)
    kind = _working(maps.dtype)
    with torch.autocast(maps.device.type, enabled=False):
        place, most = padded_rows(index, clips)
        box = (boxes.detach().float().to(kind) * scale).unbind(1)
        rows = _weights(box[1], box[3], height, size, sampling, aligned)  # [n, size, h]
        cols = _weights(box[0], box[2], width, size, sampling, aligned)  # [n, size, w]
        rows, cols = (
            scatter_rows(rows, place, clips * most),
            scatter_rows(cols, place, clips * most),
        )
        flat = maps.to(kind).permute(0, 2, 3, 1).flatten(2)  # [B, h, w * D]
        tall = rows.view(clips, most * size, height) @ flat  # [B, most * size, w * D]
        tall = tall.view(clips * most, size, width, depth)
        cells = cols[:, None].expand(-1, size, -1, -1) @ tall  # [B * most, size y, size x, D]
        return cells.index_select(0, place).permute(0, 3, 1, 2).to(maps.dtype)


class Cells:
    """A pyramid flattened once into one table of cells, to pool boxes from repeatedly.

    maps [B, D, h, w], fine to coarse; strides: pixels per cell of each, doubling.
    """

    def __init__(self, maps: Sequence[Tensor], strides: Sequence[float]) -> None:
        first = maps[0]
        self.clips, self.depth, self.dtype = len(first), first.shape[1], first.dtype
        self.sizes = [(x.shape[2], x.shape[3]) for x in maps]
        self.strides = list(strides)
        if len(self.strides) != len(self.sizes):
            raise ValueError(f"Cells has {len(self.sizes)} maps but {len(self.strides)} strides")
        rows = [x.permute(0, 2, 3, 1).flatten(1, 2) for x in maps]  # [B, h * w, D]
        self.table = torch.cat(rows, 1).to(_working(self.dtype)).flatten(0, 1)  # [B * cells, D]

    def cut(self, boxes: Tensor, index: Tensor, size: int, sampling: int) -> Tensor:
        """Pool boxes [n, 4] (pixels) of clips index [n]: bins row by row [n, size * size, D].

        The level is chosen so that a box of 224 x 224 pixels is read at stride 16 (Lin et al. 2017,
        Eq. 1). Inverted boxes read zeros, as in Detectron2.
        """
        if self.table.is_meta:
            return self.table.new_empty(len(boxes), size * size, self.depth, dtype=self.dtype)
        with torch.autocast(self.table.device.type, enabled=False):
            bins = self._sum(*self._bins(boxes, index, size, sampling))
        return bins.view(len(boxes), size * size, self.depth).to(self.dtype)

    def strongest(self, boxes: Tensor, index: Tensor, size: int, sampling: int) -> Tensor:
        """The maximum over the bins of `cut`, channel by channel: [n, D].

        A few boxes at a time: the bins of all would not fit a CPU's cache, and writing and
        reading them back takes longer than computing them.
        """
        if self.table.is_meta:
            return self.table.new_empty(len(boxes), self.depth, dtype=self.dtype)
        area = size * size
        few = area * max(1, ELEMENTS_AT_ONCE[self.table.is_cuda] // (area * self.depth))
        with torch.autocast(self.table.device.type, enabled=False):
            cell, weight = self._bins(boxes, index, size, sampling)
            parts = zip(torch.split(cell, few), torch.split(weight, few), strict=True)
            most = [self._sum(*part).view(-1, area, self.depth).amax(1) for part in parts]
        return torch.cat(most).to(self.dtype)

    def _sum(self, cell: Tensor, weight: Tensor) -> Tensor:
        """Weighted sums [m, D] of the table's rows cell [m, k], with weight [m, k]."""
        return F.embedding_bag(cell, self.table, mode="sum", per_sample_weights=weight)

    def _bins(
        self, boxes: Tensor, index: Tensor, size: int, sampling: int
    ) -> tuple[Tensor, Tensor]:
        """The table rows and weights [n * size * size, (2 S)^2] of each bin, S samples per axis."""
        boxes = boxes.detach().float()
        level, valid = _levels(boxes, self.strides)
        scale = 1 / torch.tensor(self.strides, dtype=self.table.dtype, device=boxes.device)
        shape = torch.tensor(self.sizes, device=boxes.device)  # [L, 2]
        start = shape.prod(1).cumsum(0) - shape.prod(1)  # [L]
        height, width = shape[level].unbind(1)  # [n] each
        box = boxes.to(scale) * scale[level, None]
        y, y_weight = _corners(box[:, 1], box[:, 3], height, size, sampling)  # [n, size, 2 S]
        x, x_weight = _corners(box[:, 0], box[:, 2], width, size, sampling)
        y_weight = y_weight * valid[:, None, None]
        first = index * (len(self.table) // self.clips) + start[level]
        y = y * width[:, None, None] + first[:, None, None]
        cell = y[:, :, None, :, None] + x[:, None, :, None, :]  # [n, size, size, 2 S, 2 S]
        weight = y_weight[:, :, None, :, None] * x_weight[:, None, :, None, :]
        count = (2 * sampling) ** 2
        return cell.reshape(-1, count), weight.reshape(-1, count)


def _working(kind: torch.dtype) -> torch.dtype:
    """The dtype to pool in: `kind`, but at least float32."""
    return torch.promote_types(kind, torch.float32)


def _levels(boxes: Tensor, strides: Sequence[float]) -> tuple[Tensor, Tensor]:
    """The level [n] of each of boxes [n, 4], from 0, and whether the box is valid [n]."""
    if len(strides) == 1:
        level = torch.zeros(len(boxes), dtype=torch.long, device=boxes.device)
        return level, torch.ones_like(level, dtype=torch.bool)
    side = boxes[:, 2:] - boxes[:, :2]
    area = side[:, 0] * side[:, 1]
    level = torch.floor(4 + torch.log2(area.clamp(min=0).sqrt() / 224 + 1e-8))
    first = round(math.log2(strides[0]))  # the level of stride 4 is numbered 2
    return level.sub(first).clamp(0, len(strides) - 1).nan_to_num().long(), area >= 0


def _corners(
    low: Tensor, high: Tensor, cells: Tensor, size: int, sampling: int
) -> tuple[Tensor, Tensor]:
    """The two neighbour cells of each sample along one axis, and their weights.

    Both [n, size, 2 * sampling]. low, high [n]: box ends in cells of a map with `cells` [n] cells.
    """
    cells = cells[:, None]
    step = (torch.arange(size * sampling).to(low) + 0.5) / (size * sampling)  # [size * S]
    at = low[:, None] - 0.5 + step * (high - low)[:, None]  # [n, size * S]
    used = ((at >= -1) & (at <= cells)).to(low) / sampling
    at = at.clamp(min=0).minimum(cells - 1)
    before = at.long().clamp(min=0).minimum(cells - 1)  # clamped again, for NaN
    after = (before + 1).minimum(cells - 1)
    share = at - before
    corner = torch.stack([before, after], -1)
    weight = torch.stack([1 - share, share], -1) * used[..., None]
    shape = (len(low), size, 2 * sampling)
    return corner.view(shape), weight.view(shape)


def padded_rows(index: Tensor, clips: int) -> tuple[Tensor, int]:
    """Pad boxes to [clips, most] rows: (row [n] of each box, largest count `most` of a clip)."""
    mine = index[:, None] == torch.arange(clips, device=index.device)  # [n, B]
    rank = (mine.cumsum(0) * mine).sum(1) - 1  # [n] how many of the same clip came before
    most = _largest(rank + 1, len(index))
    return index * most + rank, most


def scatter_rows(weights: Tensor, place: Tensor, total: int) -> Tensor:
    """Scatter weights [n, ...] to rows `place` [n] of `total`, zeros elsewhere."""
    return weights.new_zeros(total, *weights.shape[1:]).index_copy(0, place, weights)


def _weights(
    low: Tensor, high: Tensor, cells: int, size: int, sampling: int, aligned: bool
) -> Tensor:
    """The weight of each cell along one axis in each bin: [n, size, cells].

    low, high [n]: box ends in cells. Rows sum to 1 for bins inside the map.
    """
    span = high - low if aligned else (high - low).clamp(min=1)
    start = low - 0.5 if aligned else low
    wanted = torch.full_like(span, sampling) if sampling else (span / size).ceil().clamp(min=0)
    # Upper bound for boxes inside the frame, which may exceed the map by a fraction of a cell.
    most = sampling or -(-(cells + 1) // size)
    samples = torch.arange(_largest(wanted, most), device=low.device)  # [S]
    count = wanted[:, None, None].clamp(min=1)  # [n, 1, 1]
    bins = torch.arange(size, device=low.device)[:, None]  # [size, 1]
    step = (bins + (samples + 0.5) / count) / size  # [n, size, S] fractions of the box
    at = start[:, None, None] + step * span[:, None, None]
    used = (samples < wanted[:, None, None]) & (at >= -1) & (at <= cells)
    cell = torch.arange(cells, device=low.device)
    hat = (1 - (at.clamp(0, cells - 1)[..., None] - cell).abs()).clamp(min=0)
    return (hat * used[..., None]).sum(2) / count


def _largest(values: Tensor, most: int) -> int:
    """The maximum of values [n], 0 if empty; under export tracing the upper bound `most`.

    Traced shapes must not depend on values; surplus entries get weight 0.
    """
    if exporting():
        return most
    return int(values.max()) if len(values) else 0
