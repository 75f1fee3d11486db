"""Losses for detectors, in float32 where the input is not float64.

All but `known_cross_entropy` are elementwise: the caller reduces.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from stadkit.layers import box_ops


def wide(x: Tensor) -> Tensor:
    """The same in float32, or float64 if it was: sums of many small terms want no less."""
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
    """-log IoU of matched boxes [..., 4] (Yu et al. 2016, as the first FCOS has it).

    An IoU under 1e-6 counts as 1e-6: boxes apart cost 13.8 and have no gradient.
    """
    return -box_ops.iou(wide(box), wide(truth)).clamp(min=1e-6).log()


def known_cross_entropy(logit: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of logits [...], the mean over what is known; 0 where nothing is.

    truth [...]: 1, 0 or NaN, which nobody knows.
    """
    logit, known = wide(logit), ~truth.isnan()
    goal = truth.to(logit.dtype).nan_to_num(0.0)
    cross = F.binary_cross_entropy_with_logits(logit, goal, reduction="none")
    return (cross * known).sum() / known.sum().clamp(min=1)
