"""Detection losses, in float32, or float64 for float64 inputs.

All but `known_cross_entropy` are elementwise: the caller reduces.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from stadkit.layers import box_ops


def wide(x: Tensor) -> Tensor:
    """x in float32, or in float64 if it is: sums of many small terms need the precision."""
    return x if x.dtype == torch.float64 else x.float()


def focal_loss(logit: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sigmoid focal loss [...] of logits [...] for targets 0..1 [...] (Lin et al. 2017, Eq. 5)."""
    logit = wide(logit)
    target = target.to(logit.dtype)
    chance = logit.sigmoid()
    wrong = chance * (1 - target) + (1 - chance) * target  # 1 - p_t
    weight = alpha * target + (1 - alpha) * (1 - target)
    cross = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
    return weight * wrong**gamma * cross


def giou_loss(box: Tensor, truth: Tensor) -> Tensor:
    """1 - GIoU, 0..2, of matched boxes [..., 4] (Rezatofighi et al. 2019)."""
    return 1 - box_ops.giou(wide(box), wide(truth))


def iou_loss(box: Tensor, truth: Tensor) -> Tensor:
    """-log IoU of matched boxes [..., 4] (Yu et al. 2016; used by the first FCOS).

    IoU is clamped to 1e-6: disjoint boxes cost 13.8 and have no gradient.
    """
    return -box_ops.iou(wide(box), wide(truth)).clamp(min=1e-6).log()


def known_cross_entropy(logit: Tensor, truth: Tensor) -> Tensor:
    """Mean binary cross-entropy of logits [...] over the known labels; 0 if there are none.

    truth [...]: 1, 0 or NaN for unknown.
    """
    logit, known = wide(logit), ~truth.isnan()
    goal = truth.to(logit.dtype).nan_to_num(0.0)
    cross = F.binary_cross_entropy_with_logits(logit, goal, reduction="none")
    return (cross * known).sum() / known.sum().clamp(min=1)
