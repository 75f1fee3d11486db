"""Losses for detectors; every one is elementwise and in float32, so the caller reduces."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from stadkit.layers import overlap


def focal_loss(logit: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sigmoid focal loss [...] of logits [...] for targets 0..1 [...] (Lin et al. 2017, Eq. 5)."""
    logit, target = logit.float(), target.float()
    chance = logit.sigmoid()
    wrong = chance * (1 - target) + (1 - chance) * target  # 1 - p_t
    weight = alpha * target + (1 - alpha) * (1 - target)
    cross = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
    return weight * wrong**gamma * cross


def giou_loss(box: Tensor, truth: Tensor) -> Tensor:
    """1 - GIoU, 0..2, of matched boxes [..., 4] (Rezatofighi et al. 2019)."""
    return 1 - overlap.giou(box.float(), truth.float())


def iou_loss(box: Tensor, truth: Tensor) -> Tensor:
    """-log IoU of matched boxes [..., 4] (Yu et al. 2016, as the first FCOS has it).

    An IoU under 1e-6 counts as 1e-6: boxes apart cost 13.8 and have no gradient.
    """
    return -overlap.iou(box.float(), truth.float()).clamp(min=1e-6).log()
