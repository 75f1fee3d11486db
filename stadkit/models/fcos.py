"""FCOS for one class, person: the head, shared by all pyramid levels, and its targets.

Tian et al. 2019 with the later improvements that ME-STAD uses (norm on boxes, quality on the
box tower). `assign` matches points with people, with centre sampling; `centerness` is the quality
target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.errors import UsageError
from stadkit.layers import box_ops


@dataclass(frozen=True)
class DensePredictions:
    """Person predictions at every point of every level; float32, P points over all levels."""

    person: Tensor  # [B, P]     logit
    box: Tensor  # [B, P, 4]  x1 y1 x2 y2, pixels of the padded clip, not clipped
    quality: Tensor  # [B, P]     logit of the centerness, or of the IoU with the truth
    point: Tensor  # [P, 2]     x y, pixels
    stride: Tensor  # [P]        pixels
    level: Tensor  # [P]        0: the finest


class Fcos(nn.Module):
    """The FCOS head: two towers, then person, distances and quality at each point.

    distance "relu": ReLU in units of the stride (norm on boxes); "exp": exp, in pixels.
    quality_tower: the tower that predicts the quality, "reg" or "cls".
    """

    def __init__(
        self,
        width: int = 256,
        depth: int = 4,
        levels: int = 3,
        groups: int = 32,
        distance: str = "relu",
        quality_tower: str = "reg",
    ) -> None:
        super().__init__()
        self.distance, self.quality_tower = distance, quality_tower
        self.cls_tower = _tower(width, depth, groups)
        self.reg_tower = _tower(width, depth, groups)
        self.cls = nn.Conv2d(width, 1, 3, padding=1)
        self.reg = nn.Conv2d(width, 4, 3, padding=1)
        self.quality = nn.Conv2d(width, 1, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(levels))
        self._initialise()

    def _initialise(self) -> None:
        for conv in (m for m in self.modules() if isinstance(m, nn.Conv2d)):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        # Focal loss needs a low initial probability of the rare class: a prior of .01.
        nn.init.constant_(self.cls.bias, -math.log(99))  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor], strides: Sequence[int]) -> DensePredictions:
        """Maps [B, width, h, w] and their strides in pixels -> predictions at each point."""
        levels = [self._level(x, s, i) for i, (x, s) in enumerate(zip(maps, strides, strict=True))]
        person, box, quality = (torch.cat([x[i] for x in levels], 1) for i in range(3))
        point, stride, level = (torch.cat([x[i] for x in levels]) for i in range(3, 6))
        return DensePredictions(person, box, quality, point, stride, level)

    def _level(self, x: Tensor, stride: int, level: int) -> tuple[Tensor, ...]:
        cls, reg = self.cls_tower(x), self.reg_tower(x)
        quality = self.quality(reg if self.quality_tower == "reg" else cls)
        raw = self.reg(reg).float() * self.scale[level]
        distance = _rows(F.relu(raw) * stride if self.distance == "relu" else raw.exp())
        point = points(x.shape[-2], x.shape[-1], stride, x.device)
        box = torch.cat([point - distance[..., :2], point + distance[..., 2:]], -1)
        person = _rows(self.cls(cls).float())[..., 0]
        strides = torch.full_like(point[:, 0], stride)
        levels = torch.full_like(point[:, 0], level, dtype=torch.long)
        return person, box, _rows(quality.float())[..., 0], point, strides, levels


def points(height: int, width: int, stride: int, device: torch.device | None = None) -> Tensor:
    """Centres [height * width, 2] of a map's cells, x y in pixels, row by row."""
    y = (torch.arange(height, device=device) + 0.5) * stride
    x = (torch.arange(width, device=device) + 0.5) * stride
    grid = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid[1], grid[0]], -1).reshape(-1, 2)


def _rows(x: Tensor) -> Tensor:
    """[B, D, h, w] -> [B, h * w, D]."""
    return x.flatten(2).transpose(1, 2)


def _tower(width: int, depth: int, groups: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(groups, width)]
        layers += [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def assign(
    dense: DensePredictions,
    rows: Tensor,
    truth: Tensor,
    bounds: Sequence[float],
    center_radius: float | None = 1.5,
) -> Tensor:
    """Assign each point to a person: [B, P], an index into M, or -1 for background.

    rows [B, M] bool: which rows of truth [B, M, 4] (pixels) are people. bounds: the upper end of
    each level's range in pixels; the next level starts there, the first at 0. A point is positive
    if it is inside the box, within `center_radius` strides of its centre along both axes (None:
    anywhere), and its distance to the farthest side is in the level's range, both ends included.
    The smallest such box wins. Raises UsageError unless there is one bound per level.
    """
    _check(bounds, dense)
    count, most = rows.shape
    if not most:
        return torch.full((count, len(dense.point)), -1, device=rows.device)
    point, box = dense.point[:, None], truth[:, None]  # [P, 1, 2], [B, 1, M, 4]
    side = torch.cat([point - box[..., :2], box[..., 2:] - point], -1)  # [B, P, M, 4] l t r b
    fits = rows[:, None] & (side.amin(-1) > 0) & _in_range(side.amax(-1), dense.level, bounds)
    if center_radius is not None:
        offset = (point - (box[..., :2] + box[..., 2:]) / 2).abs().amax(-1)  # [B, P, M]
        fits &= offset < center_radius * dense.stride[:, None]
    size = box_ops.area(box).expand(fits.shape).masked_fill(~fits, math.inf)
    smallest, person = size.min(-1)
    return person.masked_fill(smallest == math.inf, -1)


def centerness(point: Tensor, box: Tensor) -> Tensor:
    """Centerness of points [n, 2] in boxes [n, 4]: 1 in the middle, 0 at the edge.

    Tian et al. 2019, Eq. 3: sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)).
    """
    low, high = point - box[:, :2], box[:, 2:] - point  # [n, 2] l t, r b
    ratio = torch.minimum(low, high) / torch.maximum(low, high).clamp(min=1e-6)
    return ratio.clamp(0, 1).prod(1).sqrt()


def _in_range(farthest: Tensor, level: Tensor, bounds: Sequence[float]) -> Tensor:
    """Whether distances [B, P, M] in pixels are in the range of their point's level [P]."""
    ends = farthest.new_tensor([0.0, *bounds])
    return (farthest >= ends[level][:, None]) & (farthest <= ends[level + 1][:, None])


def _check(bounds: Sequence[float], dense: DensePredictions) -> None:
    levels = int(dense.level[-1]) + 1
    if len(bounds) != levels:
        raise UsageError(
            f"loss.ranges has length {len(bounds) - 1}; a pyramid of {levels} levels needs "
            f"{levels - 1}, one bound between each two levels."
        )
