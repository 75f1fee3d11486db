"""The action head of `mestad-tiny`: it knows where in a person's box something happens.

A max over the box, as ME-STAD's linear head has it, forgets whether the hand that moves is
above the head or at the hip; many channels can make up for that, nano's few cannot. Here the
box's cells keep their places. In training the same layer can learn where a body's joints are in
each frame: a hand that it can place is a hand that it can see wave.

A second look at each person: the box cut out of the frames, and a small network over it.

Maps of the whole picture have a cell for eight pixels, which is a hand. Here every person is
as large as any other, and a hand is a few cells wide.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.conv import Conv3d
from stadkit.layers.roi_align import places, roi_align, spread

SIDE = 40  # cells of a cut
AROUND = 1.2  # of the box is cut: in other frames a hand may be beside it
CHANNELS = (16, 24, 48)
GROUP = 4  # channels normed together
TIMES = 2  # what eight frames become


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


class Glimpse(nn.Module):
    """Frames [B, 3, T, H, W], sizes [B, 2], boxes [n, 4] of clips [n] -> features [n, width]."""

    def __init__(self) -> None:
        super().__init__()
        one, two, three = CHANNELS
        self.frame = _layer(3, one, (1, 5, 5), (1, 2, 2))
        self.motion = nn.Sequential(
            _layer(one, two, (3, 3, 3), (2, 2, 2)), _layer(two, three, (3, 3, 3), (2, 2, 2))
        )
        self.width = three * TIMES * (SIDE // 8) ** 2

    def forward(self, frames: Tensor, sizes: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
        seen: Tensor = self.motion(self.frame(cut(frames, sizes, boxes, index)))
        if seen.shape[2] != TIMES:
            seen = F.adaptive_avg_pool3d(seen, (TIMES, *seen.shape[3:]))
        return seen.flatten(1)


def cut(frames: Tensor, sizes: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
    """AROUND times each box [n, 4] (pixels) in all frames of its clip: [n, 3, T, SIDE, SIDE].

    frames [B, 3, T, H, W], of which sizes [B, 2] (height, width) are picture: beyond, its border.
    """
    clips, colours, times, height, width = frames.shape
    if frames.is_meta:
        return frames.new_empty(len(boxes), colours, times, SIDE, SIDE)
    with torch.autocast(frames.device.type, enabled=False):
        flat = frames.float().flatten(1, 2)  # [B, 3 * T, H, W]
        place, most = places(index, clips)
        at = spread(_points(boxes.detach().float(), sizes[index]), place, clips * most)
        at = 2 * at / at.new_tensor([width, height]) - 1  # -1..1 from edge to edge
        grid = at.view(clips, most * SIDE, SIDE, 2)
        cells = F.grid_sample(flat, grid, align_corners=False)  # [B, 3 * T, most * SIDE, SIDE]
        cells = cells.reshape(clips, colours * times, most, SIDE, SIDE).transpose(1, 2)
        cells = cells.flatten(0, 1).index_select(0, place)
        return cells.reshape(-1, colours, times, SIDE, SIDE).to(frames.dtype)


def _points(boxes: Tensor, sizes: Tensor) -> Tensor:
    """x y of the cells of boxes [n, 4] in pictures of sizes [n, 2], pixels: [n, SIDE, SIDE, 2]."""
    center, side = (boxes[:, :2] + boxes[:, 2:]) / 2, AROUND * (boxes[:, 2:] - boxes[:, :2])
    step = (torch.arange(SIDE, device=boxes.device) + 0.5) / SIDE - 0.5
    at = center[:, None] + step[:, None] * side[:, None]  # [n, SIDE, 2]
    at = torch.minimum(at.clamp(min=0.5), sizes.flip(1)[:, None] - 0.5)
    x, y = at[..., 0], at[..., 1]
    return torch.stack([x[:, None].expand(-1, SIDE, -1), y[:, :, None].expand(-1, -1, SIDE)], -1)


def _layer(
    inside: int, outside: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> nn.Sequential:
    time, rows, columns = kernel
    around = (time // 2, rows // 2, columns // 2)
    conv = Conv3d(inside, outside, kernel, stride=stride, padding=around, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(outside // GROUP, outside), nn.ReLU())
