"""Two-stage detectors: somebody else finds the people, an RoI head says what they do.

Public weights for AVA's 80 actions are mostly of this kind. Code bases differ in what no tensor
shows (which frames are slow, dilation, how boxes are pooled): each is an option of the config, so
that a checkpoint runs with the maths that it was trained with. For inference only.

Each clip runs at its own size, as at its source: nothing is padded, so a clip's results do not
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
from stadkit.models.mestad import logit_of
from stadkit.models.settings import check_counts, to_tuples
from stadkit.models.slowfast import SlowFast, SlowFastConfig
from stadkit.models.vit import Vit, VitConfig

STRIDE = 16  # pixels a cell of the maps that boxes are cut from, of all backbones here


@dataclass(frozen=True)
class TwoStageConfig:
    """Architecture only; defaults are PySlowFast's on AVA. Raises UsageError for an unknown
    choice."""

    backbone: str = "slowfast-r50"
    classes: int = 80
    # Of a SlowFast or SlowOnly; a transformer has none of it.
    alpha: int = 4  # fast frames a slow frame
    fusion_kernel: int = 7  # frames
    fusion_norm: bool = True  # norm and ReLU after fast-to-slow; MMAction2 has neither
    slow_frames: str = "linspace"  # MMAction2: "nearest"
    dilation: tuple[int, int] = (2, 2)  # of res5, slow and fast; MMAction2: 1
    # Of all.
    time: str = "mean"  # over a clip's frames, before boxes are cut; or "max"
    head: str = "linear"  # or "mlp": two layers; "acrn": relations to the whole map
    context: bool = False  # the whole map beside the box; not for acrn
    roi_size: int = 7  # cells a side; MMAction2: 8
    roi_sampling: int = 0  # samples a cell and axis, 0: adaptive
    aligned: bool = False  # RoIAlign by half cells: not in Caffe2, else True
    scores: str = "sigmoid"  # or "softmax", where each person does one thing: MultiSports

    def __post_init__(self) -> None:
        to_tuples(self, "dilation")
        check_counts(self, "classes", "alpha", "fusion_kernel", "roi_size")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                got, wanted = getattr(self, name), ", ".join(choices)
                raise UsageError(f"TwoStageConfig.{name} is {got!r}; choose one of {wanted}.")
        if self.head == "acrn" and (self.context or not self.aligned):
            raise UsageError(
                "TwoStageConfig.head acrn wants aligned boxes and no context: it sees all of the "
                "map already."
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


# Small ones, to try things with.
TINY: dict[str, Any] = {"depths": (1, 1, 2, 1), "temporal": (1, 1, 1, 1), "width": 8, "beta": 4}
BACKBONES: dict[str, Callable[[TwoStageConfig], SlowFast | Vit]] = {
    "slowonly-r50": _slowfast(fast=False),
    # MMAction2's: time kernels in all blocks of res4.
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
    """`model(pixels, sizes, proposals, scores) -> Outputs`: what is done in each given box."""

    counted_boxes = 10  # of the one clip that `cost` counts

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
        """What the people in the boxes do; their person scores are those given.

        pixels [B, 3, T, H, W] normalised RGB, padded at the bottom and right or not; sizes
        [B, 2] (height, width) before padding. proposals: boxes [n_i, 4] of each clip as fractions
        of the unpadded clip; scores [n_i] 0..1 of these, 1 if absent. Clips without boxes cost
        nothing. Raises UsageError where there are no proposals.
        """
        if proposals is None:
            raise UsageError(NO_BOXES)
        # Of clips of one pixel: the boxes that are given back are those given, to the last digit.
        person, box = person_selection.given(proposals, scores, torch.ones_like(sizes))
        visible = person_selection.clip_boxes(box * person_selection.frame(sizes), sizes)
        action = person.new_zeros(*person.shape, self.config.classes)
        for clips, (height, width) in _groups(sizes, proposals):
            counts = [len(proposals[i]) for i in clips]
            rows = [i for i, n in zip(clips, counts, strict=True) for _ in range(n)]
            cols = [place for n in counts for place in range(n)]
            index = torch.tensor([k for k, n in enumerate(counts) for _ in range(n)])
            maps = self.maps(_some(pixels, clips)[..., :height, :width])
            found = self.classify(maps, visible[rows, cols], index.to(maps.device))
            action[rows, cols] = found.to(action.dtype)
        return Outputs(person, box[:, :, None], action)

    def maps(self, pixels: Tensor) -> Tensor:
        """pixels [B, 3, T, H, W] without padding -> the action map [B, D, h, w], float32.

        A transformer leaves out what is no whole patch at the right and bottom.
        """
        if isinstance(self.backbone, Vit):
            return self._of_tokens(pixels)
        pathways = self.backbone(pixels)["res5"]
        return torch.cat([_over_time(x, self.config.time) for x in pathways], 1)

    def _of_tokens(self, pixels: Tensor) -> Tensor:
        assert isinstance(self.backbone, Vit)
        patch = self.backbone.config.patch
        height, width = (x // patch * patch for x in pixels.shape[3:])
        tokens = self.backbone(pixels[..., :height, :width])
        # The key frame's slice comes first here; means and maxima do not ask for an order.
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
        # As logits of their own: whoever reads them takes a sigmoid.
        return logit_of(logits.log_softmax(1)) if self.config.scores == "softmax" else logits


NO_BOXES = (
    "this model classifies people that others find: `stadkit detect` takes their boxes with "
    "--proposals, or the name of a model that finds them with --person-model"
)


def build(config: TwoStageConfig) -> TwoStage:
    """The untrained model of a config."""
    return TwoStage(config)


def _channels(backbone: SlowFast | Vit) -> int:
    return backbone.config.width if isinstance(backbone, Vit) else backbone.channels["res5"]


def _head(config: TwoStageConfig, channels: int) -> RoiHead | AcrnHead:
    common = (channels, config.classes, config.roi_size, config.roi_sampling)
    if config.head == "acrn":
        return AcrnHead(*common, dropout=0.0)
    return RoiHead(*common, config.aligned, config.context, hidden=config.head == "mlp")


def _over_time(x: Tensor, how: str) -> Tensor:
    """[B, D, T, h, w] -> [B, D, h, w], float32."""
    return x.amax(2).float() if how == "max" else x.mean(2, dtype=torch.float32)


def _groups(
    sizes: Tensor, proposals: Sequence[Tensor]
) -> list[tuple[list[int], tuple[int | None, int | None]]]:
    """Clips with boxes that are of one size, and that (height, width)."""
    having = [i for i, rows in enumerate(proposals) if len(rows)]
    # A graph that is traced does not hang on numbers: there a clip fills its frame.
    if sizes.is_meta or exporting():
        return [(having, (None, None))]
    each = [(int(height), int(width)) for height, width in sizes.tolist()]
    kinds = sorted({each[i] for i in having})
    return [([i for i in having if each[i] == kind], kind) for kind in kinds]


def _some(pixels: Tensor, clips: list[int]) -> Tensor:
    """Clips of a batch; all of them without a copy."""
    return pixels if len(clips) == len(pixels) else pixels[clips]
