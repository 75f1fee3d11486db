"""Losses of detectors that predict a set: each person is learned by one proposal of each stage.

Sparse R-CNN (Sun et al. 2021), as EVAD and STMixer have it. Everything is in float32, also under
autocast, or in float64 where the model is. Boxes are in pixels of the padded clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stadkit.layers import losses
from stadkit.layers.matching import assign
from stadkit.layers.runtime import world_mean


@dataclass(frozen=True)
class Matches:
    """The pairs of all stages: four indices each, [n]."""

    stage: Tensor
    clip: Tensor
    proposal: Tensor
    target: Tensor

    def of(self, stage: int) -> Matches:
        """The pairs of one stage."""
        own = self.stage == stage
        return Matches(self.stage[own], self.clip[own], self.proposal[own], self.target[own])


def match(cost: Tensor, rows: Tensor) -> Matches:
    """The matching of each stage at the least cost [S, B, P, M]; rows [B, M]: real targets."""
    # All stages at once: a GPU is waited for a single time.
    both, proposal, target = assign(cost.flatten(0, 1), rows.repeat(len(cost), 1))
    return Matches(both // len(rows), both % len(rows), proposal, target)


def people_count(rows: Tensor, like: Tensor) -> Tensor:
    """How many people [] the losses are of, at least 1: the mean over processes of rows [B, M]."""
    # Whoever finds no proposal counts too, as in the authors' code.
    return world_mean(rows.sum().to(like.dtype)).clamp(min=1)


def person_loss(logit: Tensor, matches: Matches, background: float) -> Tensor:
    """Cross-entropy of each stage [S], logit [S, B, P, 2]: the weighted mean over proposals."""
    nobody = torch.ones(logit.shape[:-1], dtype=torch.long, device=logit.device)  # [S, B, P]
    nobody[matches.stage, matches.clip, matches.proposal] = 0
    cross = F.cross_entropy(logit.flatten(0, 2), nobody.flatten(), reduction="none")
    weight = logit.new_tensor([1.0, background])[nobody]  # [S, B, P]
    return (cross.view_as(weight) * weight).sum((1, 2)) / weight.sum((1, 2))


def box_losses(
    box: Tensor, truth: Tensor, frame: Tensor, matches: Matches
) -> tuple[Tensor, Tensor]:
    """Of each stage, sums over its pairs [S]: L1 in fractions of the picture, and 1 - GIoU.

    box [S, B, P, 4]; truth [B, M, 4]; frame [B, 1, 4] width height width height.
    """
    got = box[matches.stage, matches.clip, matches.proposal]  # [n, 4]
    goal = truth[matches.clip, matches.target]
    apart = ((got - goal) / frame[matches.clip, 0]).abs().sum(-1)  # [n]
    both = torch.stack([apart, losses.giou_loss(got, goal)], 1)
    sums = sums_by_stage(both, matches, len(box))
    return sums[:, 0], sums[:, 1]


def sums_by_stage(values: Tensor, matches: Matches, stages: int) -> Tensor:
    """Values [n, k] of pairs, summed over each stage's: [S, k]."""
    return values.new_zeros(stages, values.shape[1]).index_add(0, matches.stage, values)


def action_loss(logit: Tensor, action: Tensor, matches: Matches) -> Tensor:
    """Binary cross-entropy [] of logits [B, P, C], the mean over a stage's pairs and classes.

    action [B, M, C] 1, 0, or NaN, which is left out; matches: of that stage alone.
    """
    goal = action[matches.clip, matches.target]  # [n, C]
    return losses.known_cross_entropy(logit[matches.clip, matches.proposal], goal)


def named(name: str, values: Tensor) -> dict[str, Tensor]:
    """Values [n] -> "name_0", "name_1", ..., and the last one plainly "name"."""
    early = {f"{name}_{i}": value for i, value in enumerate(values[:-1])}
    return {name: values[-1], **early}
