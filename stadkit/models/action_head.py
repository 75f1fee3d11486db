"""Action heads: a person's box on the action map -> one logit per class.

`LinearHead` and `AcrnHead` are ME-STAD's, `RoiHead` that of two-stage models. `cells` [B, 2] is
the (h, w) of the unpadded part of each clip's map: pooling over the whole map must not read the
padding, or a clip's result would depend on the others in its batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.roi_align import roi_align


class LinearHead(nn.Module):
    """RoIAlign, dropout, max over the box, one linear layer (ME-STAD 3.3).

    context: concatenate the whole map, pooled to the RoI size (the release).
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        size: int = 8,
        sampling: int = 0,
        dropout: float = 0.5,
        context: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.sampling, self.context = size, sampling, context
        self.dropout = nn.Dropout(dropout)  # before the max, on single cells, as in the release
        self.projection = nn.Linear(2 * channels if context else channels, classes)

    def forward(
        self, maps: Tensor, cells: Tensor, boxes: Tensor, index: Tensor, stride: int
    ) -> Tensor:
        """maps [B, D, h, w], boxes [n, 4] pixels, index [n] clip -> logits [n, classes]."""
        region = roi_align(maps, boxes, index, self.size, 1 / stride, self.sampling)
        if self.context:
            around = _whole(maps, cells, self.size).to(region.dtype)  # [B, D, size, size]
            region = torch.cat([region, around[index]], 1)
        vector = self.dropout(region).amax((2, 3))  # [n, D] or [n, 2 D]
        return self.projection(vector)  # type: ignore[no-any-return]


class AcrnHead(nn.Module):
    """Actor-centric relation network (Sun et al. 2018), ME-STAD Table 7.

    The actor's vector is concatenated to every cell of the map; two convolutions relate them, and
    their maximum is classified. The convolutions are 2D: MMAction2's kernels have size 1 in time
    and fit after squeezing.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        size: int = 8,
        sampling: int = 0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.size, self.sampling = size, sampling
        self.conv1 = _conv(2 * channels, channels, 1)
        self.conv2 = _conv(channels, channels, 3)
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(channels, classes)

    def forward(
        self, maps: Tensor, cells: Tensor, boxes: Tensor, index: Tensor, stride: int
    ) -> Tensor:
        """maps [B, D, h, w], boxes [n, 4] pixels, index [n] clip -> logits [n, classes]."""
        region = roi_align(maps, boxes, index, self.size, 1 / stride, self.sampling)
        actor = region.amax((2, 3), keepdim=True)  # [n, D, 1, 1]
        pair = torch.cat([actor.expand(-1, -1, *maps.shape[2:]), maps[index]], 1)
        inside = _inside(cells, maps.shape[2], maps.shape[3])[index]  # [n, 1, h, w]
        near = self.conv1(pair) * inside  # zeros in the padding, as outside the map
        relation = self.dropout(self.conv2(near))  # [n, D, h, w]
        vector = relation.masked_fill(~inside, -torch.inf).amax((2, 3))
        return self.projection(vector)  # type: ignore[no-any-return]


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _whole(maps: Tensor, cells: Tensor, size: int) -> Tensor:
    """Average-pool the unpadded part of each map: [B, D, size, size]."""
    if maps.is_meta:
        return F.adaptive_avg_pool2d(maps, size)
    parts = zip(maps, cells.tolist(), strict=True)
    return torch.stack([F.adaptive_avg_pool2d(x[:, :h, :w], size) for x, (h, w) in parts])


def _inside(cells: Tensor, height: int, width: int) -> Tensor:
    """Mask of unpadded cells: bool [B, 1, height, width]."""
    rows = torch.arange(height, device=cells.device) < cells[:, :1]  # [B, h]
    cols = torch.arange(width, device=cells.device) < cells[:, 1:]  # [B, w]
    return (rows[:, :, None] & cols[:, None, :])[:, None]


class RoiHead(nn.Module):
    """RoIAlign, max over the box, one linear layer or two with a ReLU in between.

    Maps have no padding. context: concatenate the whole map, pooled to the RoI size. hidden: add a
    hidden layer as wide as its input.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        size: int,
        sampling: int = 0,
        aligned: bool = True,
        context: bool = False,
        hidden: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.sampling, self.aligned, self.context = size, sampling, aligned, context
        width = 2 * channels if context else channels
        self.hidden: nn.Module | None = nn.Linear(width, width) if hidden else None
        self.projection = nn.Linear(width, classes)

    def forward(self, maps: Tensor, boxes: Tensor, index: Tensor, stride: int) -> Tensor:
        """maps [B, D, h, w], boxes [n, 4] pixels, index [n] clip -> logits [n, classes]."""
        region = roi_align(
            maps, boxes, index, self.size, 1 / stride, self.sampling, self.aligned
        )  # [n, D, size, size]
        if self.context:
            whole = F.adaptive_avg_pool2d(maps, self.size)  # [B, D, size, size]
            region = torch.cat([region, whole[index]], 1)
        vector = region.amax((2, 3))  # [n, D] or [n, 2 D]
        if self.hidden is not None:
            vector = F.relu(self.hidden(vector))
        return self.projection(vector)  # type: ignore[no-any-return]
