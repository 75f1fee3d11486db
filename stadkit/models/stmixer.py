"""STMixer-K (Wu et al. 2024): key-frame person detection by queries with adaptive sampling and
mixing.

The backbone's maps become a 4D feature space (`feature_space.py`); a fixed number of learned
queries, whose boxes start as the whole frame, is refined in stages (`stmixer_stage.py`). There
are no dense predictions and no NMS. Tubelets (T) are in `stmixer_t.py`, losses in
`stmixer_loss.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.errors import UsageError
from stadkit.layers.matching import wide
from stadkit.models import Outputs, person_selection
from stadkit.models.classifiers import CLASSIFIERS, Bank, Classifier, joint_queries
from stadkit.models.feature_space import STRIDES, Plain, Pyramidal, volume
from stadkit.models.lite import LiteFrames
from stadkit.models.sampling import tabulate, to_corners, whole_frame
from stadkit.models.settings import check_counts, check_rate, check_split
from stadkit.models.slowfast import SlowFast, SlowFastConfig
from stadkit.models.stmixer_stage import DecoderStage, Queries, StageOutputs
from stadkit.models.vit import Vit, VitConfig

PADDINGS = ("own", "shared")
COUNTS = (
    "classes",
    "frames",
    "queries",
    "points",
    "out_points",
    "stages",
    "feedforward",
    "classifier_depth",
)


@dataclass(frozen=True)
class StmixerConfig:
    """Architecture only; defaults are the paper's SlowOnly-R50.

    Raises UsageError for invalid settings.
    """

    classes: int = 80
    backbone: str = "slowonly-r50"
    frames: int = 4  # per clip; any number can be built, weights are for one
    queries: int = 100
    width: int = 256
    groups: int = 4  # channel groups, each with its own points
    points: int = 32  # P_in, per group
    out_points: int = 128  # P_out of the spatial branch; the temporal has 4 per time step
    stages: int = 6
    heads: int = 8  # of attention among queries
    feedforward: int = 2048
    classifier: str = "plain"  # "short": attends to the clip's queries; "long": to a bank too
    classifier_depth: int = 1  # layers of each of the two
    classifier_dropout: float = 0.2  # on their residual branches
    bank: str = ""  # sha256 of the weights whose banks "long" was trained on; "": any
    # Clips in one batch may differ in size. "own": each runs at its own size, alone if needed, so
    # results do not depend on the batch. "shared": all run at the largest size, as in the authors'
    # code; training always does.
    padding: str = "own"

    def __post_init__(self) -> None:
        check_counts(self, *COUNTS)
        check_split(self, "width", "groups")
        check_split(self, "width", "heads")
        check_rate(self, "classifier_dropout")
        if self.width % 4:
            name = type(self).__name__
            raise UsageError(f"{name}.width is {self.width}; it must be a multiple of 4.")
        choosable = {"backbone": BACKBONES, "padding": PADDINGS, "classifier": CLASSIFIERS}
        for name, choices in choosable.items():
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"{type(self).__name__}.{name} is {getattr(self, name)!r}; choose one of "
                    f"{', '.join(choices)}."
                )


def _slowfast(make: Callable[..., SlowFastConfig], **changes: Any) -> Callable[[], SlowFast]:
    # STMixer keeps res5's stride and uses no dilation.
    return lambda: SlowFast(make(stride5=2, dilation=(1, 1), **changes))


# A SlowOnly small enough to try things on a CPU.
TINY = {"depths": (1, 1, 2, 1), "temporal": (1, 1, 2, 1), "width": 16, "slow_kernels": (1, 3, 3, 3)}
Backbone = SlowFast | Vit | LiteFrames
BACKBONES: dict[str, Callable[[], Backbone]] = {
    "slowonly-r50": _slowfast(SlowFastConfig.slowonly_r50),
    "slowfast-r50": _slowfast(SlowFastConfig.slowfast_r50),
    "slowfast-r101-nl": _slowfast(SlowFastConfig.slowfast_r101_nl),
    "slowonly-tiny": _slowfast(SlowFastConfig.slowonly_r50, **TINY),
    "vit-b": lambda: Vit(VitConfig(maps_at=(), prune_at=(), drop_path=0.2)),
    "lite": LiteFrames,
}


@dataclass(frozen=True)
class StmixerDetails:
    """The outputs of every stage, for deep supervision, and the last stage's queries."""

    stages: tuple[StageOutputs, ...]
    queries: Queries


@dataclass(frozen=True)
class Queried(Outputs):
    """Outputs, and the decoder's query of each person."""

    query: Tensor | None = None  # [B, N, 2 D]  for a bank; see `classifiers.joint_queries`


class Stmixer(nn.Module):
    """`model(pixels, sizes) -> Outputs`: the `queries` of each clip, unordered.

    bank: queries from the rest of the video, for the long-term classifier.
    """

    def __init__(self, config: StmixerConfig) -> None:
        super().__init__()
        self.config = config
        self.frames = config.frames
        backbone = BACKBONES[config.backbone]()
        self.backbone = backbone
        if isinstance(backbone, Vit):
            self.lateral_convs: Pyramidal | Plain = Plain(backbone.config.width, config.width)
        else:
            self.lateral_convs = Pyramidal(backbone.channels, config.width)
        self.stm_head = self.decoder(self.times(backbone))

    def decoder(self, times: int) -> StmixerDecoder:
        """Build the untrained decoder for a feature space of `times` time steps."""
        return StmixerDecoder(self.config, times, DecoderStage)

    def times(self, backbone: Backbone) -> int:
        """Time steps of the feature space."""
        frames = self.config.frames
        if isinstance(backbone, Vit):
            if frames % backbone.config.tubelet:
                raise UsageError(
                    f"StmixerConfig.frames is {frames}; {self.config.backbone} needs a multiple "
                    f"of {backbone.config.tubelet}."
                )
            return frames // backbone.config.tubelet
        if isinstance(backbone, SlowFast) and backbone.config.fast:
            return -(-frames // backbone.config.alpha)
        return frames

    def forward(
        self,
        pixels: Tensor,
        sizes: Tensor,
        proposals: Sequence[Tensor] | None = None,
        scores: Sequence[Tensor] | None = None,
        bank: Bank | None = None,
    ) -> Queried:
        """Detect the people on the key frame and their actions.

        pixels [B, 3, T, H, W] normalised RGB, H and W multiples of 32; sizes [B, 2] (height,
        width) before padding. Raises UsageError for proposals, which queries cannot use, and for a
        bank that the classifier does not read.
        """
        if proposals is not None:
            raise UsageError(
                "STMixer finds its own people and takes no boxes; use --proposals with a mestad or "
                "evad model"
            )
        groups = self._groups(pixels, sizes)
        parts = [
            self._group(
                pixels[rows, ..., :h, :w], sizes[rows], None if bank is None else bank.clips(rows)
            )
            for rows, h, w in groups
        ]
        if len(parts) == 1:
            return parts[0]
        order = torch.argsort(torch.cat([rows for rows, _, _ in groups]))
        return _take_clips(_join(parts), order)

    def _groups(self, pixels: Tensor, sizes: Tensor) -> list[tuple[Tensor, int, int]]:
        """Groups of clips that run together, with their height and width."""
        height, width = pixels.shape[3:]
        every = torch.arange(len(pixels), device=pixels.device)
        shared = self.training or self.config.padding == "shared"
        if shared or sizes.is_meta:
            return [(every, height, width)]
        coarsest = STRIDES[-1]
        padded = (-(-sizes // coarsest) * coarsest).tolist()
        distinct = sorted({(h, w) for h, w in padded})
        if len(distinct) == 1:
            return [(every, min(distinct[0][0], height), min(distinct[0][1], width))]
        return [
            (every[[(a, b) == (h, w) for a, b in padded]], min(h, height), min(w, width))
            for h, w in distinct
        ]

    def _group(self, pixels: Tensor, sizes: Tensor, bank: Bank | None) -> Queried:
        details = self.details(pixels, sizes, bank)
        return Queried(**vars(self._outputs(details, sizes)), query=joint_queries(details.queries))

    def _outputs(self, details: StmixerDetails, sizes: Tensor) -> Outputs:
        last = details.stages[-1]
        person = last.person[..., 0] - last.person[..., 1]
        box = to_corners(last.xyzr) / person_selection.frame(sizes)
        return Outputs(person, box[:, :, None], last.action)

    def details(self, pixels: Tensor, sizes: Tensor, bank: Bank | None = None) -> StmixerDetails:
        """The outputs of every stage, all clips at the size of `pixels`; arguments as `forward`."""
        if bank is not None and self.config.classifier != "long":
            raise UsageError(
                f"a model with classifier: {self.config.classifier} reads no bank of queries; "
                "train one with classifier: long"
            )
        table = tabulate(self.space(pixels), STRIDES, self.config.groups)
        return self.stm_head(table, sizes, bank)  # type: ignore[no-any-return]

    def space(self, pixels: Tensor) -> list[Tensor]:
        """The 4D feature space: [B, D, t, h, w] of each scale, fine to coarse."""
        if any(side % STRIDES[-1] for side in pixels.shape[3:]):
            raise ValueError(
                f"STMixer needs height and width to be multiples of {STRIDES[-1]}, "
                f"got {tuple(pixels.shape[3:])}"
            )
        if isinstance(self.backbone, Vit):
            features: Any = volume(self.backbone, pixels)
        else:
            features = self.backbone(pixels)
        maps: list[Tensor] = self.lateral_convs(features)
        return maps


class StmixerDecoder(nn.Module):
    """Learned queries, refined by a sequence of stages."""

    def __init__(self, config: StmixerConfig, times: int, stage: type[DecoderStage]) -> None:
        super().__init__()
        self.init_spatial_queries = nn.Embedding(config.queries, config.width)
        self.init_temporal_queries = nn.Embedding(config.queries, config.width)
        stages = (stage(config, times) for _ in range(config.stages))
        self.decoder_stages = nn.ModuleList(stages)
        self.classifier = None if config.classifier == "plain" else Classifier(config)

    def forward(self, table: Any, sizes: Tensor, bank: Bank | None = None) -> StmixerDetails:
        queries = self.start(sizes, table.times)
        outputs = []
        for stage in self.decoder_stages:
            output, queries = stage(queries, table)
            outputs.append(output)
        if self.classifier is not None:
            enriched = self.classifier(joint_queries(queries), outputs[-1].person, bank)
            outputs[-1] = replace(outputs[-1], action=self._last_action(enriched))
        return StmixerDetails(tuple(outputs), queries)

    def _last_action(self, x: Tensor) -> Tensor:
        """Action logits of joint queries [B, N, 2 D] from the last stage's head."""
        last = self.decoder_stages[-1]
        assert isinstance(last, DecoderStage)
        return wide(last.fc_action(last.action_cls_fcs(x)))

    def start(self, sizes: Tensor, times: int) -> Queries:
        """The learned initial queries, with whole frames as boxes."""
        spatial, temporal = (
            F.layer_norm(x.weight, x.weight.shape[1:]).expand(len(sizes), -1, -1)
            for x in (self.init_spatial_queries, self.init_temporal_queries)
        )
        dtype = torch.promote_types(spatial.dtype, torch.float32)
        xyzr = whole_frame(sizes, dtype)[:, None].expand(-1, spatial.shape[1], -1)
        return Queries(xyzr, spatial, temporal)


def _join(parts: Sequence[Queried]) -> Queried:
    """Concatenate outputs along the batch."""
    names = [f.name for f in fields(Queried) if getattr(parts[0], f.name) is not None]
    return Queried(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def _take_clips(outputs: Queried, rows: Tensor) -> Queried:
    """The outputs of the clips `rows`, in that order."""
    columns = {name: column for name, column in vars(outputs).items() if column is not None}
    return Queried(**{name: column[rows] for name, column in columns.items()})


def build(config: StmixerConfig) -> Stmixer:
    """Build the untrained model."""
    return Stmixer(config)
