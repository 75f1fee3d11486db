"""STMixer's losses, with deep supervision of every decoder stage by its own matching.

Each stage's queries are matched one-to-one with the people on the key frame (K), or with their
tubelets (T). Computed in float32, also under autocast, or in float64 for float64 models. Boxes are
in pixels of the padded clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stadkit.errors import UsageError
from stadkit.layers import box_ops, matching
from stadkit.layers.matching import set_cost
from stadkit.models import person_selection
from stadkit.models.sampling import to_corners
from stadkit.models.set_losses import (
    Matches,
    action_loss,
    box_losses,
    match,
    named,
    people_count,
    person_loss,
    sums_by_stage,
)
from stadkit.models.targets import Targets, TubeTargets, pad_rows, pad_targets

if TYPE_CHECKING:
    from stadkit.models.stmixer import StmixerDetails


@dataclass(frozen=True)
class StmixerLossConfig:
    """Defaults are the authors' for CNN backbones.

    The person, box and GIoU weights also apply to the matching cost.
    """

    person_weight: float = 2.0
    box_weight: float = 2.0  # L1 of boxes in fractions of the frame
    giou_weight: float = 2.0
    action_weight: float = 24.0  # with VideoMAE v2: 48
    there_weight: float = 2.0  # T only: presence in each frame; our choice
    background: float = 0.1  # weight of background queries relative to matched ones


def stmixer_loss(
    details: StmixerDetails,
    sizes: Tensor,
    targets: Sequence[Targets],
    config: StmixerLossConfig | None = None,
) -> dict[str, Tensor]:
    """STMixer-K: the weighted terms of each stage, under the names in the authors' logs.

    sizes [B, 2] (height, width) before padding; targets: one per clip. "loss_ce", "loss_bbox",
    "loss_giou", "loss_bce" are the last stage's; suffixes "_0", "_1", ... are the earlier ones, in
    order. The authors train on the mean of all terms. In a batch without people only background
    queries add to the loss. Raises UsageError for more people than queries, and Diverged if boxes
    or scores are not finite.
    """
    config = config or StmixerLossConfig()
    person, box = _stack_stages(details)
    frame = person_selection.frame(sizes).to(box)  # [B, 1, 4]
    check_people([len(t.box) for t in targets], person.shape[2])
    rows, truth, action = pad_targets(targets, box)
    weights = (config.person_weight, config.box_weight, config.giou_weight)
    matches = match(set_cost(person, box, truth, frame, weights), rows)
    l1, giou = box_losses(box, truth, frame, matches)
    count = people_count(rows, box)
    return {
        **named("loss_ce", config.person_weight * person_loss(person, matches, config.background)),
        **named("loss_bbox", config.box_weight * l1 / count),
        **named("loss_giou", config.giou_weight * giou / count),
        **named("loss_bce", config.action_weight * _actions(details, action, matches)),
    }


def stmixer_t_loss(
    details: StmixerDetails,
    sizes: Tensor,
    targets: Sequence[TubeTargets],
    config: StmixerLossConfig | None = None,
) -> dict[str, Tensor]:
    """STMixer-T: as `stmixer_loss`, with boxes in all frames where the person is present.

    Costs and losses of a tubelet's boxes are means over those frames. "loss_there" is the binary
    cross-entropy of presence in each frame, the mean over matched tubelets and frames with known
    truth. The paper's figure shows none of this: it is our reading.
    """
    config = config or StmixerLossConfig()
    person, box = _stack_stages(details)
    frame = person_selection.frame(sizes).to(box)  # [B, 1, 4]
    check_people([len(t.box) for t in targets], person.shape[2])
    truth, rows = pad_rows([t.box.to(box) for t in targets])  # [B, M, F, 4], [B, M]
    presence, _ = pad_rows([t.there.to(box) for t in targets])  # [B, M, F]
    action, _ = pad_rows([t.action.to(box) for t in targets])
    present = (presence == 1).to(box.dtype)
    truth = truth.where(present[..., None] > 0, 0)  # elsewhere it is arbitrary, even NaN
    weights = (config.person_weight, config.box_weight, config.giou_weight)
    matches = match(tube_cost(person, box, truth, present, frame, weights), rows)
    l1, giou = _tube_losses(box, truth, present, frame, matches)
    count = people_count(rows, box)
    return {
        **named("loss_ce", config.person_weight * person_loss(person, matches, config.background)),
        **named("loss_bbox", config.box_weight * l1 / count),
        **named("loss_giou", config.giou_weight * giou / count),
        **named("loss_there", config.there_weight * _presence_loss(details, presence, matches)),
        **named("loss_bce", config.action_weight * _actions(details, action, matches)),
    }


def check_people(counts: Sequence[int], queries: int) -> None:
    """Raise UsageError if a clip has more people than the model has queries."""
    most = max(counts, default=0)
    if most > queries:
        raise UsageError(
            f"a clip has {most} people, the model {queries} queries; raise `settings.queries`"
        )


@torch.no_grad()
def tube_cost(
    logit: Tensor,
    box: Tensor,
    truth: Tensor,
    present: Tensor,
    frame: Tensor,
    weights: tuple[float, float, float],
) -> Tensor:
    """`set_cost` of tubelets, the mean over frames with the person: [S, B, N, M].

    logit [S, B, N, 2]; box [S, B, N, F, 4]; truth [B, M, F, 4]; present [B, M, F] 0 or 1.
    """
    by_frame = torch.stack(
        [
            set_cost(logit, box[..., f, :], truth[:, :, f], frame, weights)
            for f in range(box.shape[3])
        ],
        -1,
    )  # [S, B, N, M, F]
    share = present / present.sum(-1, keepdim=True).clamp(min=1)
    return (by_frame * share[:, None]).sum(-1)


def _tube_losses(
    box: Tensor, truth: Tensor, present: Tensor, frame: Tensor, matches: Matches
) -> tuple[Tensor, Tensor]:
    """`box_losses` of tubelets [S, B, N, F, 4], the mean over frames with present [B, M, F] 1."""
    predicted = box[matches.stage, matches.clip, matches.proposal]  # [n, F, 4]
    goal = truth[matches.clip, matches.target]
    frames = present[matches.clip, matches.target]  # [n, F]
    share = frames / frames.sum(1, keepdim=True).clamp(min=1)
    l1 = ((predicted - goal) / frame[matches.clip]).abs().sum(-1)  # [n, F]
    giou = 1 - box_ops.giou(predicted, goal)
    both = (torch.stack([l1, giou], 2) * share[..., None]).sum(1)  # [n, 2]
    sums = sums_by_stage(both, matches, len(box))
    return sums[:, 0], sums[:, 1]


def _presence_loss(details: StmixerDetails, presence: Tensor, matches: Matches) -> Tensor:
    """Cross-entropy [S] of presence [B, M, F] 1, 0 or NaN, over each stage's pairs."""
    terms = []
    for number, stage in enumerate(details.stages):
        pairs = matches.at_stage(number)
        assert stage.presence is not None
        logit = matching.wide(stage.presence)[pairs.clip, pairs.proposal]
        terms.append(matching.known_cross_entropy(logit, presence[pairs.clip, pairs.target]))
    return torch.stack(terms)


def _actions(details: StmixerDetails, action: Tensor, matches: Matches) -> Tensor:
    logits = [matching.wide(stage.action) for stage in details.stages]
    return torch.stack([action_loss(x, action, matches.at_stage(i)) for i, x in enumerate(logits)])


def _stack_stages(details: StmixerDetails) -> tuple[Tensor, Tensor]:
    """Person logits [S, B, N, 2] and boxes x1 y1 x2 y2 [S, B, N, (F,) 4] of all stages."""
    person = torch.stack([matching.wide(stage.person) for stage in details.stages])
    return person, torch.stack([to_corners(matching.wide(stage.xyzr)) for stage in details.stages])
