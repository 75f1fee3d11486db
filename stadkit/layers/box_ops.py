"""Box operations in torch: batched differentiable IoU and GIoU, and non-maximum suppression."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 1e-6  # minimum area, square units: avoids division by zero for empty boxes


def area(box: Tensor) -> Tensor:
    """Areas [...] of boxes [..., 4]; 0 for inverted boxes."""
    side = (box[..., 2:] - box[..., :2]).clamp(min=0)
    return side[..., 0] * side[..., 1]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union [...], 0..1, of boxes a and b [..., 4]."""
    shared = intersection(a, b)
    return shared / (area(a) + area(b) - shared).clamp(min=SMALLEST)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU [...], -1..1 (Rezatofighi et al. 2019): IoU minus the hull's empty share."""
    shared = intersection(a, b)
    union = area(a) + area(b) - shared
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    whole = (hull[..., 0] * hull[..., 1]).clamp(min=SMALLEST)
    return shared / union.clamp(min=SMALLEST) - (whole - union) / whole


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Intersection areas [...] of boxes a and b [..., 4]."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    side = (high - low).clamp(min=0)
    return side[..., 0] * side[..., 1]


def nms(box: Tensor, score: Tensor, max_iou: float, most: int) -> tuple[Tensor, Tensor]:
    """Greedy NMS: the top `most` boxes of each clip, none above `max_iou` with a better one.

    box [B, N, 4] in any unit; score [B, N], where -inf (or NaN) excludes a box.
    Returns (index [B, most] into N, kept [B, most] bool), best first; index is 0 where not kept.
    Equivalent to greedy suppression of the whole list; ties keep their order.
    """
    index, kept = [], []
    score = score.masked_fill(score.isnan(), -torch.inf)
    for _ in range(most if box.shape[1] else 0):
        best, row = score.max(1)  # [B]
        kept.append(best > -torch.inf)
        index.append(row * kept[-1])
        chosen = box.gather(1, row[:, None, None].expand(-1, 1, 4))  # [B, 1, 4]
        near = iou(chosen, box) > max_iou  # [B, N]
        score = score.masked_fill(near, -torch.inf).scatter(1, row[:, None], -torch.inf)
    if not index:
        empty = torch.zeros(box.shape[0], most, dtype=torch.long, device=box.device)
        return empty, empty.bool()
    return torch.stack(index, 1), torch.stack(kept, 1)
