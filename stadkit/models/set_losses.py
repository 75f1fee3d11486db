"""Set prediction losses: in each stage, every person is matched with one proposal.

Sparse R-CNN (Sun et al. 2021), as used by EVAD and STMixer. Computed in float32, also under
autocast, or in float64 for float64 models. Boxes are in pixels of the padded clip.
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
    """The matched pairs of all stages, as four index vectors [n]."""

    stage: Tensor
    clip: Tensor
    proposal: Tensor
    target: Tensor

    def at_stage(self, stage: int) -> Matches:
        """The pairs of one stage."""
        rows = self.stage == stage
        return Matches(self.stage[rows], self.clip[rows], self.proposal[rows], self.target[rows])


def match(cost: Tensor, rows: Tensor) -> Matches:
    """The minimum-cost matching of each stage, cost [S, B, P, M]; rows [B, M]: real targets."""
    # All stages in one call: a single GPU synchronization.
    stage_clip, proposal, target = assign(cost.flatten(0, 1), rows.repeat(len(cost), 1))
    return Matches(stage_clip // len(rows), stage_clip % len(rows), proposal, target)


def people_count(rows: Tensor, like: Tensor) -> Tensor:
    """The number of people [] to normalise by: the mean over processes of rows [B, M], min 1."""
    # Unmatched people count too, as in the authors' code.
    return world_mean(rows.sum().to(like.dtype)).clamp(min=1)


def person_loss(logit: Tensor, matches: Matches, background: float) -> Tensor:
    """Cross-entropy of each stage [S], logit [S, B, P, 2]: the weighted mean over proposals.

    background: weight of unmatched proposals.
    """
    label = torch.ones(logit.shape[:-1], dtype=torch.long, device=logit.device)  # [S, B, P]
    label[matches.stage, matches.clip, matches.proposal] = 0
    cross = F.cross_entropy(logit.flatten(0, 2), label.flatten(), reduction="none")
    weight = logit.new_tensor([1.0, background])[label]  # [S, B, P]
    return (cross.view_as(weight) * weight).sum((1, 2)) / weight.sum((1, 2))


def box_losses(
    box: Tensor, truth: Tensor, frame: Tensor, matches: Matches
) -> tuple[Tensor, Tensor]:
    """Per stage, sums over its pairs [S]: L1 in fractions of the frame, and 1 - GIoU.

    box [S, B, P, 4]; truth [B, M, 4]; frame [B, 1, 4] width height width height.
    """
    predicted = box[matches.stage, matches.clip, matches.proposal]  # [n, 4]
    goal = truth[matches.clip, matches.target]
    l1 = ((predicted - goal) / frame[matches.clip, 0]).abs().sum(-1)  # [n]
    both = torch.stack([l1, losses.giou_loss(predicted, goal)], 1)
    sums = sums_by_stage(both, matches, len(box))
    return sums[:, 0], sums[:, 1]


def sums_by_stage(values: Tensor, matches: Matches, stages: int) -> Tensor:
    """Sum the values [n, k] of pairs by stage: [S, k]."""
    return values.new_zeros(stages, values.shape[1]).index_add(0, matches.stage, values)


def action_loss(logit: Tensor, action: Tensor, matches: Matches) -> Tensor:
    """Binary cross-entropy [] of logits [B, P, C], the mean over a stage's pairs and classes.

    action [B, M, C] 1, 0, or NaN, which is ignored; matches: of that stage alone.
    """
    goal = action[matches.clip, matches.target]  # [n, C]
    return losses.known_cross_entropy(logit[matches.clip, matches.proposal], goal)


def named(name: str, values: Tensor) -> dict[str, Tensor]:
    """Values [n] -> "name_0", "name_1", ..., with the last one as plain "name"."""
    early = {f"{name}_{i}": value for i, value in enumerate(values[:-1])}
    return {name: values[-1], **early}
