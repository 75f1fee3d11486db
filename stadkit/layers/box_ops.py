"""Boxes in torch: overlap, differentiable and batched, and non-maximum suppression."""

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


def nms(box: Tensor, score: Tensor, max_iou: float, most: int) -> tuple[Tensor, Tensor]:
    """The `most` best boxes of each clip, best first, none above `max_iou` with a better one.

    box [B, N, 4] in any unit, score [B, N] where -inf (or NaN) keeps a box out.
    Returns (index [B, most] into N, kept [B, most] bool); index is 0 where kept is False.
    Same boxes as greedy suppression of the whole list; equal scores keep their order.
    """
    index, kept = [], []
    score = score.masked_fill(score.isnan(), -torch.inf)
    for _ in range(most if box.shape[1] else 0):
        best, at = score.max(1)  # [B]
        kept.append(best > -torch.inf)
        index.append(at * kept[-1])
        chosen = box.gather(1, at[:, None, None].expand(-1, 1, 4))  # [B, 1, 4]
        near = iou(chosen, box) > max_iou  # [B, N]
        score = score.masked_fill(near, -torch.inf).scatter(1, at[:, None], -torch.inf)
    if not index:
        empty = torch.zeros(box.shape[0], most, dtype=torch.long, device=box.device)
        return empty, empty.bool()
    return torch.stack(index, 1), torch.stack(kept, 1)
