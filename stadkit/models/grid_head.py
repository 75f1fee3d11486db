"""The action head of `mestad-tiny`, which keeps the spatial layout of a person's box.

The max over the box in ME-STAD's linear head loses whether a moving hand is above the head or at
the hip; many channels can compensate for that, nano's few cannot. Here a layer reads all cells by
position. In training, the same layer can also predict the body's joints in each frame, so that it
learns to locate hands.

`Glimpse` optionally adds a small network over the box cropped from the frames. On the map a cell
covers eight pixels, the size of a hand; in a crop every person has the same size, and a hand is a
few cells wide.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.conv import Conv3d
from stadkit.layers.roi_align import padded_rows, roi_align, scatter_rows

SIDE = 40  # cells per side of a crop
ENLARGE = 1.2  # box scale: in other frames a hand may have moved out of the box
CHANNELS = (16, 24, 48)
GROUP = 4  # channels per group of the norms
TIMES = 2  # time steps left of eight frames


class GridHead(nn.Module):
    """RoIAlign, a layer over all cells by position, concatenated with the linear head's max."""

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
            nn.init.zeros_(self.seen.weight)  # leaves a head trained without it unchanged

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

        seen [n, S]: extra features of each box.
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
        """The logits, and joint positions x y [n, places, 2], -.5 to .5 inside, or None."""
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
        features: Tensor = self.motion(self.frame(cut(frames, sizes, boxes, index)))
        if features.shape[2] != TIMES:
            features = F.adaptive_avg_pool3d(features, (TIMES, *features.shape[3:]))
        return features.flatten(1)


def cut(frames: Tensor, sizes: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
    """Crop each box [n, 4] (pixels), scaled by ENLARGE, from all frames of its clip.

    frames [B, 3, T, H, W], sizes [B, 2] (height, width) before padding -> [n, 3, T, SIDE, SIDE];
    outside the unpadded frame, its border repeats.
    """
    clips, colours, times, height, width = frames.shape
    if frames.is_meta:
        return frames.new_empty(len(boxes), colours, times, SIDE, SIDE)
    with torch.autocast(frames.device.type, enabled=False):
        flat = frames.float().flatten(1, 2)  # [B, 3 * T, H, W]
        place, most = padded_rows(index, clips)
        at = scatter_rows(_points(boxes.detach().float(), sizes[index]), place, clips * most)
        at = 2 * at / at.new_tensor([width, height]) - 1  # -1..1 from edge to edge
        grid = at.view(clips, most * SIDE, SIDE, 2)
        cells = F.grid_sample(flat, grid, align_corners=False)  # [B, 3 * T, most * SIDE, SIDE]
        cells = cells.reshape(clips, colours * times, most, SIDE, SIDE).transpose(1, 2)
        cells = cells.flatten(0, 1).index_select(0, place)
        return cells.reshape(-1, colours, times, SIDE, SIDE).to(frames.dtype)


def _points(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Cell centres x y of boxes [n, 4], clamped to sizes [n, 2], pixels: [n, SIDE, SIDE, 2]."""
    center, side = (boxes[:, :2] + boxes[:, 2:]) / 2, ENLARGE * (boxes[:, 2:] - boxes[:, :2])
    step = (torch.arange(SIDE, device=boxes.device) + 0.5) / SIDE - 0.5
    at = center[:, None] + step[:, None] * side[:, None]  # [n, SIDE, 2]
    at = torch.minimum(at.clamp(min=0.5), sizes.flip(1)[:, None] - 0.5)
    x, y = at[..., 0], at[..., 1]
    return torch.stack([x[:, None].expand(-1, SIDE, -1), y[:, :, None].expand(-1, -1, SIDE)], -1)


def _layer(
    inside: int, outside: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> nn.Sequential:
    time, rows, columns = kernel
    padding = (time // 2, rows // 2, columns // 2)
    conv = Conv3d(inside, outside, kernel, stride=stride, padding=padding, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(outside // GROUP, outside), nn.ReLU())
