"""The head of two-stage models: a person's box on the map of a clip -> one logit a class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.roi_align import roi_align


class RoiHead(nn.Module):
    """RoIAlign, the strongest cell of each channel, one linear layer or two with ReLU between.

    The maps are of the picture alone, without padding. context: the whole map, pooled to the box's
    size, stands beside the box. hidden: two layers, the first as wide as what it reads.
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
