"""ME-STAD's supervised losses: FCOS on the key frame, actions on its dense outputs.

Computed in float32, also under autocast. Boxes are in pixels of the padded clip. Per-clip lists
are padded to rows [B, M] first; nothing after that loops over clips or points. Points are
assigned to people in `fcos.py`; the boxes for the action loss are sampled in `action_rois.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from stadkit.errors import UsageError
from stadkit.layers import box_ops, matching
from stadkit.layers.runtime import world_mean
from stadkit.models import action_rois
from stadkit.models.fcos import DensePredictions, assign, centerness
from stadkit.models.mestad import Mestad, MestadFeatures
from stadkit.models.targets import Targets, pad_rows, pad_targets

ROIS = ("dense", "sparse", "gt", "jitter", "found", "proposals")


@dataclass(frozen=True)
class LossConfig:
    """Defaults are the paper's. Raises UsageError for an unknown choice."""

    action_weight: float = 10.0  # lambda_cls, Table 4
    actor_weight: float = 1.0
    joints_weight: float = 1.0  # ours: for models with `joints`, if the targets have them
    alpha: float = 0.25  # focal loss
    gamma: float = 2.0
    center_radius: float | None = 1.5  # strides; radius of positive points; None: the whole box
    box_loss: str = "giou"  # FCOS- of Table 2: "iou"
    ranges: tuple[float, ...] = (64.0, 128.0)  # pixels; bounds between levels, by farthest side
    last_range: float = math.inf  # the release has 256: larger people are background
    rois: str = "dense"  # boxes for the action loss, Table 3: one of ROIS
    min_person: float = 0.3  # dense, sparse, found: minimum cls of a box; the release: .35
    max_proposals: int = 100  # dense, sparse, found: per clip, top by cls * quality
    max_iou: float = 0.3  # sparse, found: between two boxes
    min_iou: float = 0.5  # with a person, to get its labels
    max_rois: int = 32  # per clip, sampled at random
    jitter: float = 0.15  # jitter, found: sides move by up to this share of the box
    jitter_copies: int = 3  # jitter, found: of each person
    # found: per clip, the model's best boxes that match no person (`min_iou`), trained with all
    # actions 0. Needs truth that labels every person.
    max_empty: int = 8

    def __post_init__(self) -> None:
        if self.rois not in ROIS:
            raise UsageError(f"LossConfig.rois is {self.rois!r}; choose one of {', '.join(ROIS)}.")
        if self.box_loss not in ("giou", "iou"):
            raise UsageError(f"LossConfig.box_loss is {self.box_loss!r}; choose giou or iou.")
        # YAML has no tuples.
        object.__setattr__(self, "ranges", tuple(self.ranges))

    @classmethod
    def paper(cls, **changes: Any) -> LossConfig:
        """As described in arXiv v1: the defaults."""
        return cls(**changes)

    @classmethod
    def release(cls, **changes: Any) -> LossConfig:
        """As SE-STAD was released."""
        return cls(**{"min_person": 0.35, "last_range": 256.0, **changes})

    @classmethod
    def fcos_minus(cls, **changes: Any) -> LossConfig:
        """FCOS- of Table 2: the original FCOS; use with `MestadConfig.fcos_minus()`."""
        return cls(**{"center_radius": None, "box_loss": "iou", **changes})


def mestad_loss(
    model: Mestad,
    features: MestadFeatures,
    dense: DensePredictions,
    targets: Sequence[Targets],
    config: LossConfig | None = None,
    proposals: Sequence[Tensor] | None = None,
) -> dict[str, Tensor]:
    """ME-STAD Eq. 3: the weighted terms "person", "box", "quality", "action"; their sum is L_sup.

    targets: one per clip. proposals: boxes [n_i, 4] of each clip in pixels, for
    `rois="proposals"`. Means over the batch replace the paper's 1/N sum over clips.
    """
    config = config or LossConfig()
    rows, truth, action = pad_targets(targets, dense.box)
    bounds = (*config.ranges, config.last_range)
    match = assign(dense, rows, truth, bounds, config.center_radius)
    actor = actor_loss(dense, match, truth, config, model.config.quality)
    rois = _rois(dense, rows, truth, action, config, proposals)
    # Eq. 3 prints the weight on L_al; section 4.1 and Table 4 put it on L_ac, and so do we.
    terms = {name: config.actor_weight * loss for name, loss in actor.items()}
    known = [t.joints for t in targets if t.joints is not None]
    if model.config.joints and len(known) == len(targets):
        logits, predicted = model.classify_and_place(features, rois.box, rois.index)
        matched = rois.person >= 0
        index, person, box = rois.index[matched], rois.person[matched], rois.box[matched]
        joints = pad_rows([t.to(truth) for t in known])[0][index, person]
        terms["joints"] = config.joints_weight * joints_loss(predicted[matched], joints, box)
    else:
        logits = model.classify(features, rois.box, rois.index)
    return {**terms, "action": config.action_weight * action_loss(logits, rois.action)}


def actor_loss(
    dense: DensePredictions, match: Tensor, truth: Tensor, config: LossConfig, quality: str
) -> dict[str, Tensor]:
    """ME-STAD Eq. 1: "person" (L_cls), "box" (L_iou) and "quality" (L_centerness).

    match [B, P]: the person of each point, -1: background; truth [B, M, 4]; quality: the target
    of the quality logit, "centerness" or "iou".
    """
    clip, point = torch.nonzero(match >= 0, as_tuple=True)  # [n] the positive points
    goal = truth[clip, match[clip, point]]  # [n, 4]
    box, center = dense.box[clip, point], centerness(dense.point[point], goal)
    goals = center if quality == "centerness" else box_ops.iou(box.detach(), goal)
    count = world_mean(center.new_tensor(len(clip))).clamp(min=1)
    share = world_mean(center.sum().detach()).clamp(min=1e-6)
    person = matching.focal_loss(dense.person, match >= 0, config.alpha, config.gamma)
    distance = matching.giou_loss if config.box_loss == "giou" else matching.iou_loss
    logit = dense.quality[clip, point]
    return {
        "person": person.sum() / count,
        "box": (distance(box, goal) * center).sum() / share,
        "quality": F.binary_cross_entropy_with_logits(logit, goals, reduction="sum") / count,
    }


def action_loss(logit: Tensor, action: Tensor) -> Tensor:
    """ME-STAD Eq. 2: binary cross-entropy, the mean over boxes and known classes [n, C]."""
    return matching.known_cross_entropy(logit, action)


MOTION_SCALE = 2.0  # weight of a joint's displacement relative to its position: they are small
MAX_OFFSET = 1.5  # box sizes: joints farther outside are clamped to this


def joints_loss(predicted: Tensor, joints: Tensor, box: Tensor) -> Tensor:
    """Loss on joint positions in boxes [n, 4] and their motion, from `classify_and_place`.

    predicted [n, T, J, 2], joints [n, T, J, 2] pixels. Smooth L1 (beta .1) of positions in box
    sizes and of displacements in the box's longer side, times MOTION_SCALE.
    """
    if not len(box):
        return predicted.sum()
    key = joints.shape[1] // 2
    center, side = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]).clamp(min=1)
    place = (joints[:, key] - center[:, None]) / side[:, None]  # [n, J, 2]
    longer = side.amax(1)[:, None, None, None]
    motion = MOTION_SCALE * (joints - joints[:, key : key + 1]) / longer  # [n, T, J, 2]
    goal = torch.cat([motion[:, :key], place[:, None], motion[:, key + 1 :]], 1)
    return F.smooth_l1_loss(predicted, goal.clamp(-MAX_OFFSET, MAX_OFFSET), beta=0.1)


def _rois(
    dense: DensePredictions,
    rows: Tensor,
    truth: Tensor,
    action: Tensor,
    config: LossConfig,
    proposals: Sequence[Tensor] | None,
) -> action_rois.Rois:
    """The boxes for the action loss: those of people and, with "found", empty ones too."""
    box, passed = _candidates(dense, rows, truth, config, proposals)
    if config.rois != "found":
        return action_rois.choose(box, passed, rows, truth, action, config.min_iou, config.max_rois)
    own, kept = action_rois.predicted(
        dense, config.min_person, config.max_proposals, config.max_iou
    )
    box, passed = torch.cat([box, own], 1), torch.cat([passed, kept], 1)
    rois = action_rois.choose(box, passed, rows, truth, action, config.min_iou, config.max_rois)
    return action_rois.with_empty(rois, own, kept, rows, truth, config.min_iou, config.max_empty)


def _candidates(
    dense: DensePredictions,
    rows: Tensor,
    truth: Tensor,
    config: LossConfig,
    proposals: Sequence[Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """Candidate boxes [B, K, 4] in addition to the true ones, and a valid mask [B, K] (Table 3)."""
    if config.rois == "gt":
        return truth[:, :0], rows[:, :0]
    if config.rois in ("jitter", "found"):
        return action_rois.jittered(truth, rows, config.jitter, config.jitter_copies)
    if config.rois == "proposals":
        if proposals is None:
            raise UsageError(
                'LossConfig.rois is "proposals" but no boxes were passed: pass proposals=.'
            )
        return pad_rows([p.to(truth) for p in proposals])
    max_iou = config.max_iou if config.rois == "sparse" else None
    return action_rois.predicted(dense, config.min_person, config.max_proposals, max_iou)
