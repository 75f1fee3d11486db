"""FCOS targets: which person each point stands for, and how central it lies in the box."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from stadkit.errors import UsageError
from stadkit.layers import box_ops
from stadkit.models.fcos import Dense


def assign(
    dense: Dense,
    rows: Tensor,
    truth: Tensor,
    bounds: Sequence[float],
    center_radius: float | None = 1.5,
) -> Tensor:
    """The person that each point stands for: [B, P], an index into M, or -1 for nobody.

    rows [B, M] bool: which of truth [B, M, 4] (pixels) are people. bounds: the upper end of
    each level's range in pixels; the next level begins there, the first at 0. A point is
    positive inside a box, nearer than `center_radius` strides to its centre along both axes
    (None: anywhere), where the farthest side of the box is in the level's range, both ends
    included. The smallest such box wins. Raises UsageError unless there is a bound a level.
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
    """How central points [n, 2] lie in boxes [n, 4]: 1 in the middle, 0 at the edge.

    Tian et al. 2019, Eq. 3: sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)).
    """
    low, high = point - box[:, :2], box[:, 2:] - point  # [n, 2] l t, r b
    ratio = torch.minimum(low, high) / torch.maximum(low, high).clamp(min=1e-6)
    return ratio.clamp(0, 1).prod(1).sqrt()


def _in_range(farthest: Tensor, level: Tensor, bounds: Sequence[float]) -> Tensor:
    """Which distances [B, P, M] in pixels belong to the level [P] of their point."""
    ends = farthest.new_tensor([0.0, *bounds])
    return (farthest >= ends[level][:, None]) & (farthest <= ends[level + 1][:, None])


def _check(bounds: Sequence[float], dense: Dense) -> None:
    levels = int(dense.level[-1]) + 1
    if len(bounds) != levels:
        raise UsageError(
            f"loss.ranges has {len(bounds) - 1} bounds between levels; "
            f"a pyramid of {levels} levels wants {levels - 1}."
        )
