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

from stadkit.layers import losses
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
    frame = person_selection.frame(sizes).to(box)  # [B, 1, 4]
    rows, truth, action = pad_targets(targets, box)
    weights = (config.person_weight, config.box_weight, config.giou_weight)
    matches = match(set_cost(logit, box, truth, frame, weights), rows)
    last = matches.of(len(box) - 1)
    said = torch.stack([action_loss(block, action, last) for block in details.action])
    apart, shared = box_losses(box, truth, frame, matches)
    count = people_count(rows, box)
    return {
        **named("loss_ce", config.person_weight * person_loss(logit, matches, config.background)),
        **named("loss_bbox", config.box_weight * apart / count),
        **named("loss_giou", config.giou_weight * shared / count),
        **named("loss_bce", config.action_weight * said),
    }
