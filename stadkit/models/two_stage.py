"""Two-stage detectors: an RoI head classifies the actions of people found by another detector.

Most public weights for AVA's 80 actions are of this kind. Code bases differ in details that
checkpoints do not record (slow-frame selection, dilation, RoI pooling): each is a config option, so
that a checkpoint runs with the maths it was trained with. For inference only.

Each clip runs at its own size, as in the original code: without padding, a clip's results do not
depend on the others in its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stadkit.errors import UsageError
from stadkit.layers.runtime import exporting
from stadkit.models import Outputs, person_selection
from stadkit.models.action_head import AcrnHead, RoiHead
from stadkit.models.mestad import log_to_logit
from stadkit.models.settings import check_counts, to_tuples
from stadkit.models.slowfast import SlowFast, SlowFastConfig
from stadkit.models.vit import Vit, VitConfig

STRIDE = 16  # pixels per cell of the pooled maps, for all backbones here


@dataclass(frozen=True)
class TwoStageConfig:
    """Architecture only; defaults are PySlowFast's on AVA. Raises UsageError for invalid settings.

    `alpha` to `dilation` apply to SlowFast and SlowOnly only.
    """

    backbone: str = "slowfast-r50"
    classes: int = 80
    alpha: int = 4  # fast frames per slow frame
    fusion_kernel: int = 7  # frames
    fusion_norm: bool = True  # norm and ReLU after fast-to-slow; MMAction2 has neither
    slow_frames: str = "linspace"  # MMAction2: "nearest"
    dilation: tuple[int, int] = (2, 2)  # of res5, slow and fast; MMAction2: 1
    time: str = "mean"  # pooling over frames before RoIAlign; or "max"
    head: str = "linear"  # or "mlp": two layers; "acrn": relations to the whole map
    context: bool = False  # concatenate the whole map to the box; not for acrn
    roi_size: int = 7  # cells per side; MMAction2: 8
    roi_sampling: int = 0  # samples per cell and axis, 0: adaptive
    aligned: bool = False  # half-cell offset in RoIAlign: False for Caffe2, else True
    scores: str = "sigmoid"  # or "softmax", for one action per person: MultiSports

    def __post_init__(self) -> None:
        to_tuples(self, "dilation")
        check_counts(self, "classes", "alpha", "fusion_kernel", "roi_size")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                got, wanted = getattr(self, name), ", ".join(choices)
                raise UsageError(f"TwoStageConfig.{name} is {got!r}; choose one of {wanted}.")
        if self.head == "acrn" and (self.context or not self.aligned):
            raise UsageError(
                "TwoStageConfig.head is 'acrn', which needs aligned: true and context: false (it "
                "reads the whole map already)."
            )


def _slowfast(**preset: Any) -> Callable[[TwoStageConfig], SlowFast]:
    return lambda config: SlowFast(
        SlowFastConfig(
            **preset,
            alpha=config.alpha,
            fusion_kernel=config.fusion_kernel,
            fusion_norm=config.fusion_norm,
            slow_frames=config.slow_frames,
            dilation=config.dilation,
        )
    )


def _vit(**preset: Any) -> Callable[[TwoStageConfig], Vit]:
    return lambda _: Vit(VitConfig(**preset, maps_at=(), prune_at=(), drop_path=0.0))


# For small backbones to try things on.
TINY: dict[str, Any] = {"depths": (1, 1, 2, 1), "temporal": (1, 1, 1, 1), "width": 8, "beta": 4}
BACKBONES: dict[str, Callable[[TwoStageConfig], SlowFast | Vit]] = {
    "slowonly-r50": _slowfast(fast=False),
    # MMAction2's: temporal kernels in all blocks of res4.
    "slowonly-r101": _slowfast(fast=False, depths=(3, 4, 23, 3), temporal=(3, 4, 23, 3)),
    # MMAction2's.
    "slowonly-r50-nl": _slowfast(
        fast=False, nonlocal3=(0, 2), nonlocal4=(0, 2, 4), nonlocal_kind="gaussian"
    ),
    "slowfast-r50": _slowfast(),
    # PySlowFast's.
    "slowfast-r101-nl": _slowfast(depths=(3, 4, 23, 3), nonlocal4=(6, 13, 20)),
    "vit-b": _vit(),
    "vit-l": _vit(width=1024, depth=24, heads=16),
    "slowonly-tiny": _slowfast(fast=False, **TINY),
    "slowonly-tiny-nl": _slowfast(
        fast=False, nonlocal3=(0,), nonlocal4=(1,), nonlocal_kind="gaussian", **TINY
    ),
    "slowfast-tiny": _slowfast(**TINY),
    "slowfast-tiny-nl": _slowfast(nonlocal4=(1,), **TINY),
    "vit-tiny": _vit(width=16, depth=2, heads=2, base=(2, 2)),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "backbone": tuple(BACKBONES),
    "slow_frames": ("linspace", "nearest"),
    "time": ("mean", "max"),
    "head": ("linear", "mlp", "acrn"),
    "scores": ("sigmoid", "softmax"),
}


class TwoStage(nn.Module):
    """`model(pixels, sizes, proposals, scores) -> Outputs`: classify the actions in each box."""

    counted_boxes = 10  # in the one clip that `cost` counts

    def __init__(self, config: TwoStageConfig) -> None:
        super().__init__()
        self.config = config
        backbone = BACKBONES[config.backbone](config)
        self.backbone, self.head = backbone, _head(config, _channels(backbone))

    def forward(
        self,
        pixels: Tensor,
        sizes: Tensor,
        proposals: Sequence[Tensor] | None = None,
        scores: Sequence[Tensor] | None = None,
    ) -> Outputs:
        """Classify the actions of the people in the boxes; person scores are passed through.

        pixels [B, 3, T, H, W] normalised RGB, optionally padded at the bottom and right; sizes
        [B, 2] (height, width) before padding. proposals: boxes [n_i, 4] of each clip in fractions
        of the unpadded clip; scores: their person scores [n_i] 0..1, default 1. Clips without boxes
        are skipped. Raises UsageError without proposals.
        """
        if proposals is None:
            raise UsageError(NO_BOXES)
        # Scaled by 1 x 1 pixels, so that the returned boxes equal the inputs exactly.
        person, box = person_selection.from_proposals(proposals, scores, torch.ones_like(sizes))
        visible = person_selection.clip_boxes(box * person_selection.frame(sizes), sizes)
        action = person.new_zeros(*person.shape, self.config.classes)
        for clips, (height, width) in _groups(sizes, proposals):
            counts = [len(proposals[i]) for i in clips]
            rows = [i for i, n in zip(clips, counts, strict=True) for _ in range(n)]
            cols = [place for n in counts for place in range(n)]
            index = torch.tensor([k for k, n in enumerate(counts) for _ in range(n)])
            maps = self.maps(_select_clips(pixels, clips)[..., :height, :width])
            logits = self.classify(maps, visible[rows, cols], index.to(maps.device))
            action[rows, cols] = logits.to(action.dtype)
        return Outputs(person, box[:, :, None], action)

    def maps(self, pixels: Tensor) -> Tensor:
        """pixels [B, 3, T, H, W] without padding -> the action map [B, D, h, w], float32.

        Transformers crop the right and bottom to whole patches.
        """
        if isinstance(self.backbone, Vit):
            return self._token_maps(pixels)
        pathways = self.backbone(pixels)["res5"]
        return torch.cat([_over_time(x, self.config.time) for x in pathways], 1)

    def _token_maps(self, pixels: Tensor) -> Tensor:
        assert isinstance(self.backbone, Vit)
        patch = self.backbone.config.patch
        height, width = (x // patch * patch for x in pixels.shape[3:])
        tokens = self.backbone(pixels[..., :height, :width])
        # The key frame's slice comes first here; means and maxima do not depend on the order.
        maps = tokens.token.view(len(pixels), *tokens.grid, -1).permute(0, 4, 1, 2, 3)
        return _over_time(maps, self.config.time)

    def classify(self, maps: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
        """Logits [n, C], float32, of boxes [n, 4] (pixels) on maps index [n]."""
        if isinstance(self.head, AcrnHead):
            whole = torch.tensor(maps.shape[-2:], device=maps.device).expand(len(maps), 2)
            logits: Tensor = self.head(maps, whole, boxes, index, STRIDE)
        else:
            logits = self.head(maps, boxes, index, STRIDE)
        logits = logits.float()
        # Converted to independent logits, because callers apply a sigmoid.
        return log_to_logit(logits.log_softmax(1)) if self.config.scores == "softmax" else logits


NO_BOXES = (
    "this model only classifies people found by a detector: pass `stadkit detect` their boxes "
    "with --proposals, or the name of a detection model with --person-model"
)


def build(config: TwoStageConfig) -> TwoStage:
    """Build the untrained model."""
    return TwoStage(config)


def _channels(backbone: SlowFast | Vit) -> int:
    return backbone.config.width if isinstance(backbone, Vit) else backbone.channels["res5"]


def _head(config: TwoStageConfig, channels: int) -> RoiHead | AcrnHead:
    common = (channels, config.classes, config.roi_size, config.roi_sampling)
    if config.head == "acrn":
        return AcrnHead(*common, dropout=0.0)
    return RoiHead(*common, config.aligned, config.context, hidden=config.head == "mlp")


def _over_time(x: Tensor, how: str) -> Tensor:
    """Pool over time: [B, D, T, h, w] -> [B, D, h, w], float32."""
    return x.amax(2).float() if how == "max" else x.mean(2, dtype=torch.float32)


def _groups(
    sizes: Tensor, proposals: Sequence[Tensor]
) -> list[tuple[list[int], tuple[int | None, int | None]]]:
    """Group the clips with boxes by size: (clip indices, (height, width))."""
    with_boxes = [i for i, rows in enumerate(proposals) if len(rows)]
    # Traced graphs must not depend on values: assume that there is no padding.
    if sizes.is_meta or exporting():
        return [(with_boxes, (None, None))]
    each = [(int(height), int(width)) for height, width in sizes.tolist()]
    distinct = sorted({each[i] for i in with_boxes})
    return [([i for i in with_boxes if each[i] == size], size) for size in distinct]


def _select_clips(pixels: Tensor, clips: list[int]) -> Tensor:
    """The clips of a batch at these indices; without a copy if all are selected."""
    return pixels if len(clips) == len(pixels) else pixels[clips]
