"""Sample the boxes for the action loss (ME-STAD 4.1, Table 3).

Boxes are in pixels, padded to [B, K, 4], with a mask [B, K] of valid ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stadkit.layers import box_ops
from stadkit.layers.box_ops import nms
from stadkit.models.fcos import DensePredictions


@dataclass(frozen=True)
class Rois:
    """Boxes with the labels of the people they match."""

    box: Tensor  # [n, 4]  pixels
    index: Tensor  # [n]     clip
    person: Tensor  # [n]     row of its person in the clip, -1: it matches none
    action: Tensor  # [n, C]  1, 0 or NaN


def choose(
    box: Tensor,
    passed: Tensor,
    rows: Tensor,
    truth: Tensor,
    action: Tensor,
    min_iou: float,
    most: int,
) -> Rois:
    """Sample up to `most` boxes per clip at random, with the labels of their people.

    Candidates are box [B, K, 4] with mask passed [B, K], and the people's own boxes, truth
    [B, M, 4] with mask rows [B, M]. Each gets the labels [B, M, C] of the person it overlaps most,
    if the IoU is at least `min_iou`. People without a positive action are skipped.
    """
    if not rows.shape[1]:
        empty = rows.new_zeros(0).long()
        return Rois(truth.new_zeros(0, 4), empty, empty, action.flatten(0, 1))
    box, passed = torch.cat([truth, box], 1), torch.cat([rows, passed], 1)
    shared = box_ops.iou(box[:, :, None], truth[:, None]) * rows[:, None]  # [B, M + K, M]
    best, person = shared.max(-1)
    labelled = rows & (action > 0).any(-1)  # [B, M]; NaN > 0 is False
    eligible = passed & (best >= min_iou) & labelled.gather(1, person)
    draw = torch.rand(eligible.shape, device=eligible.device).masked_fill(~eligible, -1.0)
    drawn = draw.topk(min(most, draw.shape[1]), 1)
    clip, place = torch.nonzero(drawn.values >= 0, as_tuple=True)
    chosen = drawn.indices[clip, place]
    match = person[clip, chosen]
    return Rois(box[clip, chosen], clip, match, action[clip, match])


def with_empty(
    rois: Rois,
    box: Tensor,
    passed: Tensor,
    rows: Tensor,
    truth: Tensor,
    min_iou: float,
    most: int,
) -> Rois:
    """Add up to `most` empty boxes per clip, the best ones, with all actions 0.

    Candidates are box [B, K, 4] with mask passed [B, K], best first. A box is empty if its IoU
    with every person of truth [B, M, 4], mask rows [B, M], is below `min_iou`.
    """
    shared = box_ops.iou(box[:, :, None], truth[:, None]) * rows[:, None]  # [B, K, M]
    free = passed & (shared < min_iou).all(-1)
    clip, place = torch.nonzero(free & (free.cumsum(1) <= most), as_tuple=True)
    return Rois(
        torch.cat([rois.box, box[clip, place]]),
        torch.cat([rois.index, clip]),
        torch.cat([rois.person, torch.full_like(clip, -1)]),
        torch.cat([rois.action, rois.action.new_zeros(len(clip), rois.action.shape[1])]),
    )


def predicted(
    dense: DensePredictions, min_person: float, most: int, max_iou: float | None
) -> tuple[Tensor, Tensor]:
    """The model's own boxes, no gradient: the top `most` of each clip with cls > min_person.

    Ranked by cls * quality. max_iou: for NMS; None ("dense"): no NMS.
    """
    person = dense.person.detach().sigmoid()
    score = person * dense.quality.detach().sigmoid()
    score = score.masked_fill(person <= min_person, -math.inf)
    best = score.topk(min(most, score.shape[1]), 1)
    box = _pick(dense.box.detach(), best.indices)
    if max_iou is None:
        return box, best.values > -math.inf
    index, kept = nms(box, best.values, max_iou, box.shape[1])
    return _pick(box, index), kept


def jittered(truth: Tensor, rows: Tensor, by: float, copies: int) -> tuple[Tensor, Tensor]:
    """`copies` of each person's box, with each side moved by up to `by` times the box size."""
    box = truth.repeat_interleave(copies, 1)
    size = (box[..., 2:] - box[..., :2]).repeat(1, 1, 2)
    return box + size * by * (2 * torch.rand_like(box) - 1), rows.repeat_interleave(copies, 1)


def _pick(box: Tensor, index: Tensor) -> Tensor:
    """Rows index [B, K] of boxes [B, N, 4]."""
    return box.gather(1, index[..., None].expand(-1, -1, 4))
