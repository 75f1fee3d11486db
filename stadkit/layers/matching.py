"""Which proposal learns from which person: one-to-one, at the least cost (Carion et al. 2020)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from stadkit.errors import StadkitError
from stadkit.layers import box_ops


class Diverged(StadkitError):
    """A model in training gives no numbers any more."""


@torch.no_grad()
def set_cost(
    logit: Tensor, box: Tensor, truth: Tensor, frame: Tensor, weights: tuple[float, float, float]
) -> Tensor:
    """What it costs each proposal to stand for each person: [..., P, M], without gradient.

    logit [..., P, 2] person and background; box [..., P, 4] and truth [..., M, 4] in pixels;
    frame [..., 1, 4] width height width height of the unpadded picture. Sparse R-CNN (Sun et al.
    2021), Eq. 1: the weighted sum of -softmax of person, of the L1 distance in fractions of the
    picture, and of -GIoU.
    """
    person, distance, giou = weights
    chance = logit.softmax(-1)[..., :1]  # [..., P, 1]
    apart = ((box / frame)[..., :, None, :] - (truth / frame)[..., None, :, :]).abs().sum(-1)
    shared = box_ops.giou(box[..., :, None, :], truth[..., None, :, :])
    return distance * apart - giou * shared - person * chance


def assign(cost: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The Hungarian matching of each clip: index vectors [n] of (clip, proposal, target).

    cost [B, P, M]; rows [B, M] bool: which targets are real, the others are never chosen. A clip
    gives min(P, real targets) pairs, in the order of the proposals: of more targets than
    proposals, those that cost most are nobody's. Raises Diverged where a real target's cost is
    not finite.
    """
    costs, real = cost.detach().double().cpu().numpy(), rows.cpu().numpy()
    clips, proposals, targets = [], [], []
    for clip, (own, wanted) in enumerate(zip(costs, real, strict=True)):
        columns = np.flatnonzero(wanted)
        part = own[:, columns]
        if not np.isfinite(part).all():
            wrong = part[~np.isfinite(part)][0]
            raise Diverged(f"the cost of matching boxes with people became {wrong}")
        proposal, column = linear_sum_assignment(part)
        clips.append(np.full(len(proposal), clip))
        proposals.append(proposal)
        targets.append(columns[column])
    return _index(clips, cost), _index(proposals, cost), _index(targets, cost)


def _index(parts: list[np.ndarray[tuple[int], np.dtype[np.int64]]], like: Tensor) -> Tensor:
    joined = np.concatenate(parts) if parts else np.zeros(0)
    return torch.from_numpy(joined.astype(np.int64)).to(like.device)
