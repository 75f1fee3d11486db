"""Overlap of boxes in torch: differentiable, batched, broadcasting.

Boxes are x1 y1 x2 y2 in any one unit. All functions compare rows; for all pairs of
a [n, 4] and b [m, 4] call them with a[:, None] and b[None].
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 1e-6  # square units: keeps empty boxes from dividing by zero


def area(box: Tensor) -> Tensor:
    """Areas [...] of boxes [..., 4]; an inverted box has area 0."""
    side = (box[..., 2:] - box[..., :2]).clamp(min=0)
    return side[..., 0] * side[..., 1]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union [...], 0..1, of boxes a [..., 4] and b [..., 4]."""
    shared = intersection(a, b)
    return shared / (area(a) + area(b) - shared).clamp(min=SMALLEST)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU [...], -1..1 (Rezatofighi et al. 2019): IoU - empty share of the hull."""
    shared = intersection(a, b)
    union = area(a) + area(b) - shared
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    whole = (hull[..., 0] * hull[..., 1]).clamp(min=SMALLEST)
    return shared / union.clamp(min=SMALLEST) - (whole - union) / whole


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Areas [...] that boxes a [..., 4] and b [..., 4] share."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    side = (high - low).clamp(min=0)
    return side[..., 0] * side[..., 1]
