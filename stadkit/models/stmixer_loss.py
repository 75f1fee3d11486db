"""STMixer's losses: every stage of the decoder learns, by its own matching.

Each stage's queries are matched one-to-one with the people of the key frame (K), or with their
tubelets (T). Everything here is in float32, also under autocast, or in float64 where the model is.
Boxes are in pixels of the padded clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stadkit.errors import UsageError
from stadkit.layers import box_ops, losses
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
    from stadkit.models.stmixer import Details


@dataclass(frozen=True)
class StmixerLossConfig:
    """Defaults are the authors' for CNN backbones.

    The weights of person, box and GIoU also weigh the costs of the matching.
    """

    person_weight: float = 2.0
    box_weight: float = 2.0  # L1 of boxes in fractions of the picture
    giou_weight: float = 2.0
    action_weight: float = 24.0  # with VideoMAE v2: 48
    there_weight: float = 2.0  # T alone: of being there in each frame; our choice
    background: float = 0.1  # what a query that is nobody counts beside one that is somebody


def stmixer_loss(
    details: Details,
    sizes: Tensor,
    targets: Sequence[Targets],
    config: StmixerLossConfig | None = None,
) -> dict[str, Tensor]:
    """STMixer-K: the weighted terms of each stage, by the names that the authors' logs have.

    sizes [B, 2] (height, width) before padding; targets: one a clip. "loss_ce", "loss_bbox",
    "loss_giou", "loss_bce" of the last stage; "_0", "_1", ... are the earlier ones, first to last.
    The authors train on the mean of all terms. A batch without people gives no loss but of
    background. Raises UsageError for more people than queries, and Diverged where boxes or scores
    are no numbers any more.
    """
    config = config or StmixerLossConfig()
    person, box = _said(details)
    frame = person_selection.frame(sizes).to(box)  # [B, 1, 4]
    check_room([len(t.box) for t in targets], person.shape[2])
    rows, truth, action = pad_targets(targets, box)
    weights = (config.person_weight, config.box_weight, config.giou_weight)
    matches = match(set_cost(person, box, truth, frame, weights), rows)
    apart, shared = box_losses(box, truth, frame, matches)
    count = people_count(rows, box)
    return {
        **named("loss_ce", config.person_weight * person_loss(person, matches, config.background)),
        **named("loss_bbox", config.box_weight * apart / count),
        **named("loss_giou", config.giou_weight * shared / count),
        **named("loss_bce", config.action_weight * _actions(details, action, matches)),
    }


def stmixer_t_loss(
    details: Details,
    sizes: Tensor,
    targets: Sequence[TubeTargets],
    config: StmixerLossConfig | None = None,
) -> dict[str, Tensor]:
    """STMixer-T: as `stmixer_loss`, with boxes of all frames in which somebody is there.

    Costs and losses of a tubelet's boxes are means over those frames. "loss_there" is the binary
    cross-entropy of being there in each frame, the mean over matched tubelets and frames whose
    truth is known. The paper's figure shows none of this: it is our reading.
    """
    config = config or StmixerLossConfig()
    person, box = _said(details)
    frame = person_selection.frame(sizes).to(box)  # [B, 1, 4]
    check_room([len(t.box) for t in targets], person.shape[2])
    truth, rows = pad_rows([t.box.to(box) for t in targets])  # [B, M, F, 4], [B, M]
    there, _ = pad_rows([t.there.to(box) for t in targets])  # [B, M, F]
    action, _ = pad_rows([t.action.to(box) for t in targets])
    seen = (there == 1).to(box.dtype)
    truth = truth.where(seen[..., None] > 0, 0)  # elsewhere it may be anything, NaN too
    weights = (config.person_weight, config.box_weight, config.giou_weight)
    matches = match(tube_cost(person, box, truth, seen, frame, weights), rows)
    apart, shared = _tube_losses(box, truth, seen, frame, matches)
    count = people_count(rows, box)
    return {
        **named("loss_ce", config.person_weight * person_loss(person, matches, config.background)),
        **named("loss_bbox", config.box_weight * apart / count),
        **named("loss_giou", config.giou_weight * shared / count),
        **named("loss_there", config.there_weight * _there(details, there, matches)),
        **named("loss_bce", config.action_weight * _actions(details, action, matches)),
    }


def check_room(counts: Sequence[int], queries: int) -> None:
    """Raises UsageError where a clip has more people than there are queries to learn them."""
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
    seen: Tensor,
    frame: Tensor,
    weights: tuple[float, float, float],
) -> Tensor:
    """`set_cost` of tubelets, the mean over the frames seen: [S, B, N, M].

    logit [S, B, N, 2]; box [S, B, N, F, 4]; truth [B, M, F, 4]; seen [B, M, F] 0 or 1.
    """
    by_frame = torch.stack(
        [
            set_cost(logit, box[..., f, :], truth[:, :, f], frame, weights)
            for f in range(box.shape[3])
        ],
        -1,
    )  # [S, B, N, M, F]
    share = seen / seen.sum(-1, keepdim=True).clamp(min=1)
    return (by_frame * share[:, None]).sum(-1)


def _tube_losses(
    box: Tensor, truth: Tensor, seen: Tensor, frame: Tensor, matches: Matches
) -> tuple[Tensor, Tensor]:
    """`box_losses` of tubelets [S, B, N, F, 4], the mean over the frames seen [B, M, F]."""
    got = box[matches.stage, matches.clip, matches.proposal]  # [n, F, 4]
    goal = truth[matches.clip, matches.target]
    own = seen[matches.clip, matches.target]  # [n, F]
    share = own / own.sum(1, keepdim=True).clamp(min=1)
    apart = ((got - goal) / frame[matches.clip]).abs().sum(-1)  # [n, F]
    shared = 1 - box_ops.giou(got, goal)
    both = (torch.stack([apart, shared], 2) * share[..., None]).sum(1)  # [n, 2]
    sums = sums_by_stage(both, matches, len(box))
    return sums[:, 0], sums[:, 1]


def _there(details: Details, there: Tensor, matches: Matches) -> Tensor:
    """Cross-entropy [S] of being there [B, M, F] 1, 0 or NaN, over each stage's pairs."""
    terms = []
    for stage, said in enumerate(details.said):
        own = matches.of(stage)
        assert said.there is not None
        logit = losses.wide(said.there)[own.clip, own.proposal]
        terms.append(losses.known_cross_entropy(logit, there[own.clip, own.target]))
    return torch.stack(terms)


def _actions(details: Details, action: Tensor, matches: Matches) -> Tensor:
    said = [losses.wide(stage.action) for stage in details.said]
    return torch.stack([action_loss(x, action, matches.of(i)) for i, x in enumerate(said)])


def _said(details: Details) -> tuple[Tensor, Tensor]:
    """Of all stages: person logits [S, B, N, 2], boxes x1 y1 x2 y2 [S, B, N, (F,) 4]."""
    person = torch.stack([losses.wide(stage.person) for stage in details.said])
    return person, torch.stack([to_corners(losses.wide(stage.xyzr)) for stage in details.said])
