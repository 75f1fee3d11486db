"""One-to-one matching of proposals with people at minimum cost (Carion et al. 2020), and losses.

Losses are in float32, or float64 for float64 inputs. All but `known_cross_entropy` are elementwise:
the caller reduces.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from stadkit.errors import StadkitError
from stadkit.layers import box_ops


class Diverged(StadkitError):
    """Training diverged: the model's outputs are not finite."""


@torch.no_grad()
def set_cost(
    logit: Tensor, box: Tensor, truth: Tensor, frame: Tensor, weights: tuple[float, float, float]
) -> Tensor:
    """The cost of matching each proposal with each person: [..., P, M], no gradient.

    logit [..., P, 2] person and background; box [..., P, 4] and truth [..., M, 4] in pixels;
    frame [..., 1, 4] width height width height of the unpadded frame. Sparse R-CNN (Sun et al.
    2021), Eq. 1: the weighted sum of minus the person probability, of the L1 distance in fractions
    of the frame, and of minus the GIoU. weights: person, distance, GIoU.
    """
    person, distance, giou = weights
    probability = logit.softmax(-1)[..., :1]  # [..., P, 1]
    l1 = ((box / frame)[..., :, None, :] - (truth / frame)[..., None, :, :]).abs().sum(-1)
    overlap = box_ops.giou(box[..., :, None, :], truth[..., None, :, :])
    return distance * l1 - giou * overlap - person * probability


def assign(cost: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hungarian matching of each clip: index vectors [n] of (clip, proposal, target).

    cost [B, P, M]; rows [B, M] bool: real targets; padding is never matched. A clip has
    min(P, real targets) pairs, in proposal order; if targets outnumber proposals, the costliest
    stay unmatched. Raises Diverged if a real target's cost is not finite.
    """
    costs, real = cost.detach().double().cpu().numpy(), rows.cpu().numpy()
    clips, proposals, targets = [], [], []
    for clip, (matrix, is_real) in enumerate(zip(costs, real, strict=True)):
        columns = np.flatnonzero(is_real)
        part = matrix[:, columns]
        if not np.isfinite(part).all():
            value = part[~np.isfinite(part)][0]
            raise Diverged(f"the cost of matching boxes with people is {value}")
        proposal, column = linear_sum_assignment(part)
        clips.append(np.full(len(proposal), clip))
        proposals.append(proposal)
        targets.append(columns[column])
    return _index(clips, cost), _index(proposals, cost), _index(targets, cost)


def _index(parts: list[np.ndarray[tuple[int], np.dtype[np.int64]]], like: Tensor) -> Tensor:
    joined = np.concatenate(parts) if parts else np.zeros(0)
    return torch.from_numpy(joined.astype(np.int64)).to(like.device)


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
