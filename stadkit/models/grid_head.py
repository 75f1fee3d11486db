"""The action head of `mestad-tiny`: it knows where in a person's box something happens.

A max over the box, as ME-STAD's linear head has it, forgets whether the hand that moves is
above the head or at the hip; many channels can make up for that, nano's few cannot. Here the
box's cells keep their places. In training the same layer can learn where a body's joints are in
each frame: a hand that it can place is a hand that it can see wave.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.roi_align import roi_align


class GridHead(nn.Module):
    """RoIAlign, a layer over all cells by place, and beside it the max of the linear head."""

    def __init__(
        self,
        channels: int,
        classes: int,
        size: int = 7,
        sampling: int = 2,
        dropout: float = 0.3,
        squeezed: int = 64,
        hidden: int = 128,
        places: int = 0,
        seen: int = 0,
    ) -> None:
        super().__init__()
        self.size, self.sampling = size, sampling
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.hidden = nn.Linear(squeezed * size * size, hidden)
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(channels + hidden, classes)
        self.places = nn.Linear(hidden, 2 * places) if places else None
        self.seen = nn.Linear(seen, hidden, bias=False) if seen else None
        if self.seen is not None:
            nn.init.zeros_(self.seen.weight)  # a head that was trained without goes on as it was

    def forward(
        self,
        maps: Tensor,
        cells: Tensor,
        boxes: Tensor,
        index: Tensor,
        stride: int,
        seen: Tensor | None = None,
    ) -> Tensor:
        """maps [B, D, h, w], boxes [n, 4] pixels, index [n] clip -> logits [n, classes].

        seen [n, S]: what else is known of each box.
        """
        return self.with_places(maps, boxes, index, stride, seen)[0]

    def with_places(
        self,
        maps: Tensor,
        boxes: Tensor,
        index: Tensor,
        stride: int,
        seen: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The logits, and x y of the places [n, places, 2] in boxes, -.5..5 inside; None: none."""
        region = roi_align(maps, boxes, index, self.size, 1 / stride, self.sampling)
        squeezed = F.relu(self.squeeze(region))  # [n, squeezed, size, size]
        hidden = self.hidden(squeezed.flatten(1))  # [n, hidden]
        placed = F.relu(hidden if self.seen is None else hidden + self.seen(seen))
        strongest = region.amax((2, 3)).to(placed.dtype)  # [n, D]
        logits: Tensor = self.projection(self.dropout(torch.cat([strongest, placed], 1)))
        if self.places is None:
            return logits, None
        return logits, self.places(placed).unflatten(1, (-1, 2))
