"""EVAD's losses, with deep supervision of every localization head and decoder block.

As in Sparse R-CNN, each head's proposals are matched one-to-one with people; the action loss uses
the last head's matching. Computed in float32, also under autocast, or in float64 for float64
models. Boxes are in pixels of the padded clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stadkit.layers import matching
from stadkit.layers.matching import set_cost
from stadkit.models import person_selection
from stadkit.models.set_losses import (
    action_loss,
    box_losses,
    match,
    named,
    people_count,
    person_loss,
)
from stadkit.models.targets import Targets, pad_targets

if TYPE_CHECKING:
    from stadkit.models.evad import EvadDetails


@dataclass(frozen=True)
class EvadLossConfig:
    """Defaults are the paper's (appendix, "implementation details").

    The person, box and GIoU weights also apply to the matching cost.
    """

    person_weight: float = 2.0  # lambda_ce
    box_weight: float = 5.0  # lambda_L1, of boxes in fractions of the frame
    giou_weight: float = 2.0  # lambda_GIoU
    action_weight: float = 12.0  # lambda_bce; the authors' ViT-L has 6
    background: float = 0.1  # weight of background proposals relative to matched ones


def evad_loss(
    details: EvadDetails,
    sizes: Tensor,
    targets: Sequence[Targets],
    config: EvadLossConfig | None = None,
) -> dict[str, Tensor]:
    """The weighted terms of each head and block, under the names in the authors' logs.

    sizes [B, 2] (height, width) before padding; targets: one per clip. "loss_ce", "loss_bbox",
    "loss_giou" are the last head's and "loss_bce" the last block's; suffixes "_0", "_1", ... are
    the earlier ones, in order. The authors train on the mean of all terms. In a batch without
    people only background proposals add to the loss. Raises Diverged if boxes or scores are not
    finite.
    """
    config = config or EvadLossConfig()
    logit, box = matching.wide(details.people.logit), matching.wide(details.people.box)
    frame = person_selection.frame(sizes).to(box)  # [B, 1, 4]
    rows, truth, action = pad_targets(targets, box)
    weights = (config.person_weight, config.box_weight, config.giou_weight)
    matches = match(set_cost(logit, box, truth, frame, weights), rows)
    last = matches.at_stage(len(box) - 1)
    action_terms = torch.stack([action_loss(block, action, last) for block in details.action])
    l1, giou = box_losses(box, truth, frame, matches)
    count = people_count(rows, box)
    return {
        **named("loss_ce", config.person_weight * person_loss(logit, matches, config.background)),
        **named("loss_bbox", config.box_weight * l1 / count),
        **named("loss_giou", config.giou_weight * giou / count),
        **named("loss_bce", config.action_weight * action_terms),
    }
