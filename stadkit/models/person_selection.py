"""Select the boxes that become rows of `Outputs`. Boxes are in pixels of the padded clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stadkit.layers.box_ops import nms


def choose(
    box: Tensor, point: Tensor, rank: Tensor, sizes: Tensor, most: int, max_iou: float
) -> tuple[Tensor, Tensor]:
    """The best points of each clip: (index [B, most] into P, kept [B, most] bool), best first.

    box [B, P, 4] of points [P, 2], ranked by rank [B, P]; sizes [B, 2] (height, width) before
    padding. Points in the padding and boxes outside the frame are dropped; NMS compares boxes
    clipped to the frame.
    """
    visible = clip_boxes(box, sizes)
    inside = (point < sizes.flip(1)[:, None]).all(-1)  # [B, P]
    not_empty = (visible[..., 2:] > visible[..., :2]).all(-1)
    rank = rank.masked_fill(~(inside & not_empty), -torch.inf)
    return nms(visible, rank, max_iou, most)


def from_proposals(
    proposals: Sequence[Tensor], scores: Sequence[Tensor] | None, sizes: Tensor
) -> tuple[Tensor, Tensor]:
    """Pad external boxes to rows: logits [B, N], -inf in padding rows, and boxes [B, N, 4].

    proposals: [n_i, 4] in fractions of each clip; scores: [n_i] 0..1, default 1. N is the maximum
    of n_i.
    """
    scores = scores or [torch.ones(len(p)) for p in proposals]
    most = max((len(p) for p in proposals), default=0)
    person = torch.full((len(proposals), most), -torch.inf, device=sizes.device)
    box = torch.zeros(len(proposals), most, 4, device=sizes.device)
    for i, (rows, score) in enumerate(zip(proposals, scores, strict=True)):
        person[i, : len(rows)] = score.to(person).logit(1e-6)  # finite for 0 and 1
        box[i, : len(rows)] = rows.to(box)
    return person, box * frame(sizes)


def proposal_mask(proposals: Sequence[Tensor], device: torch.device) -> Tensor | None:
    """Mask of the rows of `from_proposals` that are not padding: bool [B, N]; None if all are.

    proposals: [n_i, 4] of each clip.
    """
    counts = [len(p) for p in proposals]
    most = max(counts, default=0)
    if min(counts, default=0) == most:
        return None
    return torch.arange(most, device=device) < torch.tensor(counts, device=device)[:, None]


def clip_boxes(box: Tensor, sizes: Tensor) -> Tensor:
    """Clip boxes [B, N, 4] to each clip's sizes [B, 2] (height, width)."""
    return torch.minimum(box.clamp(min=0), frame(sizes).to(box.dtype))


def frame(sizes: Tensor) -> Tensor:
    """sizes [B, 2] (height, width) -> [B, 1, 4] width height width height."""
    return sizes.flip(1).repeat(1, 2)[:, None]
