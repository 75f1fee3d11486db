"""Sparse R-CNN (Sun et al. 2021) for one class, person, as used by EVAD.

A fixed number of learned boxes, each with a learned feature, is refined by a sequence of heads.
In each head the features attend to each other, each generates a dynamic convolution for its box's
RoI features, and the box is updated. There are no dense predictions and no NMS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.matching import wide
from stadkit.layers.roi_align import Cells
from stadkit.models.person_selection import frame
from stadkit.models.settings import check_counts, check_split

CENTRE_WEIGHT = 2.0  # divides the predicted centre deltas; width and height have weight 1
MAX_LOG_SCALE = math.log(100000 / 16)  # upper bound of the predicted log growth of a side


@dataclass(frozen=True)
class LocalizerConfig:
    """Architecture only; defaults are Sparse R-CNN's, with 100 boxes.

    Raises UsageError for invalid settings.
    """

    proposals: int = 100  # boxes per clip
    width: int = 256  # channels of the maps and of the proposal features
    heads: int = 6  # refinement heads, in sequence
    attention_heads: int = 8
    feedforward: int = 2048
    dynamic: int = 64  # hidden channels of the dynamic convolution
    roi_size: int = 7  # cells per side
    roi_sampling: int = 2  # samples per cell and axis
    cls_layers: int = 1
    reg_layers: int = 3

    def __post_init__(self) -> None:
        check_counts(self, *(field.name for field in fields(self)))
        check_split(self, "width", "attention_heads")


@dataclass(frozen=True)
class Localized:
    """The boxes after each of I heads; raises ValueError for a wrong shape."""

    logit: Tensor  # [I, B, P, 2]  person, background
    box: Tensor  # [I, B, P, 4]  x1 y1 x2 y2, pixels of the padded clip, not clipped
    feature: Tensor  # [B, P, D]  after the last head

    def __post_init__(self) -> None:
        rows = (len(self.logit), *self.feature.shape[:2])
        for name, x, last in (("logit", self.logit, 2), ("box", self.box, 4)):
            wanted = (*rows, last)
            if tuple(x.shape) != wanted:
                raise ValueError(f"Localized.{name} has shape {tuple(x.shape)}, wants {wanted}")


class Localizer(nn.Module):
    """Localize people on the key frame's pyramid; boxes start as the whole frame."""

    def __init__(self, config: LocalizerConfig) -> None:
        super().__init__()
        self.config = config
        whole = torch.tensor([0.5, 0.5, 1.0, 1.0])
        self.box = nn.Parameter(whole.repeat(config.proposals, 1))  # cx cy w h, fractions
        self.feature = nn.Parameter(torch.randn(config.proposals, config.width))
        self.heads = nn.ModuleList(LocalizerHead(config) for _ in range(config.heads))

    def forward(self, maps: Sequence[Tensor], sizes: Tensor, strides: Sequence[float]) -> Localized:
        """Maps [B, D, h, w], fine to coarse, and their strides in pixels -> boxes.

        sizes [B, 2]: (height, width) of each clip before padding. Logits and boxes are float32
        or wider; gradients flow through the features of all heads, but not from box to box.
        """
        config, clips = self.config, len(sizes)
        cells = Cells(maps, strides)
        index = torch.arange(clips, device=sizes.device).repeat_interleave(config.proposals)
        box = self._start(sizes)
        feature = self.feature.expand(clips, -1, -1)
        logits, boxes = [], []
        for head in self.heads:
            region = cells.cut(box.flatten(0, 1), index, config.roi_size, config.roi_sampling)
            logit, delta, feature = head(feature, region)
            moved = apply_delta(box, delta)
            logits.append(logit)
            boxes.append(moved)
            box = moved.detach()
        return Localized(torch.stack(logits), torch.stack(boxes), feature)

    def _start(self, sizes: Tensor) -> Tensor:
        """The learned initial boxes of each clip, in pixels: [B, P, 4]."""
        box = wide(self.box)  # 16-bit floats cannot hold pixel coordinates
        centre, half = box[:, :2], box[:, 2:] / 2
        return torch.cat([centre - half, centre + half], -1) * frame(sizes).to(box.dtype)


class LocalizerHead(nn.Module):
    """One refinement step: features [B, P, D] and RoI features -> logits, deltas, features."""

    def __init__(self, config: LocalizerConfig) -> None:
        super().__init__()
        width = config.width
        self.self_attn = nn.MultiheadAttention(width, config.attention_heads, batch_first=True)
        self.inst_interact = DynamicConv(width, config.dynamic, config.roi_size**2)
        self.linear1 = nn.Linear(width, config.feedforward)
        self.linear2 = nn.Linear(config.feedforward, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.cls_module = _tower(width, config.cls_layers)
        self.reg_module = _tower(width, config.reg_layers)
        self.class_logits = nn.Linear(width, 2)
        self.bboxes_delta = nn.Linear(width, 4)
        for weight in self.parameters():
            if weight.ndim > 1:
                nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.class_logits.bias)

    def forward(self, feature: Tensor, region: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """feature [B, P, D]; region [B * P, cells, D] -> [B, P, 2], [B, P, 4], [B, P, D]."""
        attended = self.self_attn(feature, feature, feature, need_weights=False)[0]
        feature = self.norm1(feature + attended)
        roi = self.inst_interact(feature.flatten(0, 1), region)  # [B * P, D]
        feature = self.norm2(feature + roi.view_as(feature))
        feature = self.norm3(feature + self.linear2(F.relu(self.linear1(feature))))
        logit = self.class_logits(self.cls_module(feature))
        delta = self.bboxes_delta(self.reg_module(feature))
        return wide(logit), wide(delta), feature


class DynamicConv(nn.Module):
    """Dynamic convolution: two layers generated by a feature for its RoI's cells, then a vector."""

    def __init__(self, width: int, hidden: int, cells: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.dynamic_layer = nn.Linear(width, 2 * width * hidden)
        self.norm1 = nn.LayerNorm(hidden)
        self.norm2 = nn.LayerNorm(width)
        self.out_layer = nn.Linear(cells * width, width)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, feature: Tensor, region: Tensor) -> Tensor:
        """feature [n, D] and region [n, cells, D] -> [n, D]."""
        count, width = feature.shape
        layer = self.dynamic_layer
        halves = zip(layer.weight.chunk(2), layer.bias.chunk(2), strict=True)
        # Separately: halves of one result would be copied before the next product.
        first, second = (F.linear(feature, *half) for half in halves)  # [n, D * hidden] each
        x = region @ first.view(count, width, self.hidden)
        x = F.relu(self.norm1(x), inplace=True)  # [n, cells, hidden]
        x = x @ second.view(count, self.hidden, width)
        x = F.relu(self.norm2(x), inplace=True)  # [n, cells, D]
        return F.relu(self.norm3(self.out_layer(x.flatten(1))))


def apply_delta(box: Tensor, delta: Tensor) -> Tensor:
    """Boxes [..., 4] updated by delta [..., 4]: dx dy in half sides, then log scales."""
    low, high = box.chunk(2, -1)
    side = high - low
    centre = low + side / 2 + delta[..., :2] / CENTRE_WEIGHT * side
    half = delta[..., 2:].clamp(max=MAX_LOG_SCALE).exp() * side / 2
    return torch.cat([centre - half, centre + half], -1)


def _tower(width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width, bias=False), nn.LayerNorm(width), nn.ReLU()]
    return nn.Sequential(*layers)
