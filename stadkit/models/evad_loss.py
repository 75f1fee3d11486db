"""EVAD's losses: every localization head and every block of the decoder learns.

As in Sparse R-CNN, each head's proposals are matched one-to-one with the people; actions are
learned by the proposals that the last head's matching picks. Everything here is in float32, also
under autocast, or in float64 where the model is. Boxes are in pixels of the padded clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from stadkit.layers import losses
from stadkit.layers.matching import assign, set_cost
from stadkit.layers.world import world_mean
from stadkit.models import people
from stadkit.models.targets import Targets, pad_targets

if TYPE_CHECKING:
    from stadkit.models.evad import Details


@dataclass(frozen=True)
class EvadLossConfig:
    """Defaults are the paper's (appendix, "implementation details").

    The weights of person, box and GIoU also weigh the costs of the matching.
    """

    person_weight: float = 2.0  # lambda_ce
    box_weight: float = 5.0  # lambda_L1, of boxes in fractions of the picture
    giou_weight: float = 2.0  # lambda_GIoU
    action_weight: float = 12.0  # lambda_bce; the authors' ViT-L has 6
    background: float = 0.1  # what a proposal that is nobody counts beside one that is somebody


@dataclass(frozen=True)
class Matches:
    """The pairs of all heads: four indices each, [n]."""

    head: Tensor
    clip: Tensor
    proposal: Tensor
    target: Tensor

    def of(self, head: int) -> Matches:
        """The pairs of one head."""
        own = self.head == head
        return Matches(self.head[own], self.clip[own], self.proposal[own], self.target[own])


def evad_loss(
    details: Details,
    sizes: Tensor,
    targets: Sequence[Targets],
    config: EvadLossConfig | None = None,
) -> dict[str, Tensor]:
    """The weighted terms of each head and block, by the names that the authors' logs have.

    sizes [B, 2] (height, width) before padding; targets: one a clip. "loss_ce", "loss_bbox",
    "loss_giou" of the last head and "loss_bce" of the last block; "_0", "_1", ... are the earlier
    ones, first to last. The authors train on the mean of all terms. A batch without people gives
    no loss but of background. Raises Diverged where boxes or scores are no numbers any more.
    """
    config = config or EvadLossConfig()
    logit, box = losses.wide(details.people.logit), losses.wide(details.people.box)
    frame = people.frame(sizes).to(box)  # [B, 1, 4]
    rows, truth, action = pad_targets(targets, box)
    weights = (config.person_weight, config.box_weight, config.giou_weight)
    matches = match(set_cost(logit, box, truth, frame, weights), rows)
    said = action_loss(details.action, action, matches.of(len(box) - 1))
    apart, shared = box_losses(box, truth, frame, matches)
    # Whoever finds no proposal counts too, as in the authors' code.
    count = world_mean(rows.sum().to(box.dtype)).clamp(min=1)
    return {
        **_named("loss_ce", config.person_weight * person_loss(logit, matches, config.background)),
        **_named("loss_bbox", config.box_weight * apart / count),
        **_named("loss_giou", config.giou_weight * shared / count),
        **_named("loss_bce", config.action_weight * said),
    }


def match(cost: Tensor, rows: Tensor) -> Matches:
    """The matching of each head at the least cost [I, B, P, M]; rows [B, M]: real targets."""
    # All heads at once: a GPU is waited for a single time.
    both, proposal, target = assign(cost.flatten(0, 1), rows.repeat(len(cost), 1))
    return Matches(both // len(rows), both % len(rows), proposal, target)


def person_loss(logit: Tensor, matches: Matches, background: float) -> Tensor:
    """Cross-entropy of each head [I], logit [I, B, P, 2]: the weighted mean over proposals."""
    nobody = torch.ones(logit.shape[:-1], dtype=torch.long, device=logit.device)  # [I, B, P]
    nobody[matches.head, matches.clip, matches.proposal] = 0
    cross = F.cross_entropy(logit.flatten(0, 2), nobody.flatten(), reduction="none")
    weight = logit.new_tensor([1.0, background])[nobody]  # [I, B, P]
    return (cross.view_as(weight) * weight).sum((1, 2)) / weight.sum((1, 2))


def box_losses(
    box: Tensor, truth: Tensor, frame: Tensor, matches: Matches
) -> tuple[Tensor, Tensor]:
    """Of each head, sums over its pairs [I]: L1 in fractions of the picture, and 1 - GIoU."""
    got = box[matches.head, matches.clip, matches.proposal]  # [n, 4]
    goal = truth[matches.clip, matches.target]
    apart = ((got - goal) / frame[matches.clip, 0]).abs().sum(-1)  # [n]
    both = torch.stack([apart, losses.giou_loss(got, goal)], 1)
    sums = both.new_zeros(len(box), 2).index_add(0, matches.head, both)  # [I, 2]
    return sums[:, 0], sums[:, 1]


def action_loss(logit: Tensor, action: Tensor, matches: Matches) -> Tensor:
    """Binary cross-entropy of each block [L], the mean over one head's pairs and classes.

    logit [L, B, P, C]; action [B, M, C] 1, 0, or NaN, which is left out.
    """
    goal = action[matches.clip, matches.target]  # [n, C]
    said = logit[:, matches.clip, matches.proposal]  # [L, n, C]
    return torch.stack([losses.known_cross_entropy(block, goal) for block in said])


def _named(name: str, values: Tensor) -> dict[str, Tensor]:
    """Values [n] -> "name_0", "name_1", ..., and the last one plainly "name"."""
    early = {f"{name}_{i}": value for i, value in enumerate(values[:-1])}
    return {name: values[-1], **early}
