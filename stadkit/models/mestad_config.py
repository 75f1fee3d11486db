"""Settings of ME-STAD: the paper, the later release, and the small networks; and its backbones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from stadkit.errors import UsageError
from stadkit.models import nanodet

# Stages that feed the pyramid, and whether a coarser level is added to the last (Table 8).
PYRAMIDS = {
    "res3-4": (("res3", "res4"), True),
    "res3-5": (("res3", "res4", "res5"), False),  # res5 keeps res4's stride, and so does P5
    "res2-4": (("res2", "res3", "res4"), True),
}


@dataclass(frozen=True)
class MestadConfig:
    """Architecture only; defaults are the paper's. Raises UsageError for an unknown choice."""

    backbone: str = "slowfast-r50"
    classes: int = 80
    dilation: tuple[int, int] = (2, 2)  # res5, slow and fast, as PySlowFast; the release: (2, 1)
    fusion_norm: bool = True  # norm and ReLU after fast-to-slow: PySlowFast yes, MMAction2 no
    slow_frames: str = "linspace"  # selection of the slow frames; MMAction2: "nearest"
    # Order of pool and convolutions: the paper's 151.5 GFLOPs match this order only; PySlowFast's
    # weights were trained with "pool-first".
    nonlocal_order: str = "conv-first"
    people: str = "fcos"  # person detector; mestad-nano: "nanodet", which is frozen
    pyramid: str = "res3-4"  # Table 8: "res3-4", "res3-5", "res2-4"
    width: int = 256  # channels of the pyramid and of FCOS
    depth: int = 4  # convolutions per FCOS tower
    groups: int = 32  # of the group norms in the towers
    distance: str = "relu"  # times the stride; FCOS- of Table 2: "exp", in pixels
    quality_tower: str = "reg"  # FCOS- of Table 2: "cls"
    quality: str = "centerness"  # the target of the quality logit; the release: "iou"
    # Table 7: "acrn"; mestad-tiny: "grid"; mestad-nano: "frames", which reads a box in all frames.
    head: str = "linear"
    head_init: str = "xavier"  # the release: "normal", sigma .01
    context: bool = False  # the release also gives the head the whole map
    roi_size: int = 8  # cells per side
    roi_sampling: int = 0  # samples per cell and axis, 0: adaptive
    dropout: float = 0.5
    glimpse: bool = False  # grid: also reads each box cropped from the frames
    # frames: the classes of each training data set, and whether they are mutually exclusive.
    sources: tuple[tuple[int, ...], ...] = ()
    exclusive: tuple[bool, ...] = ()
    joints: int = 0  # grid: body joints, whose positions in each frame are an auxiliary target
    background_row: bool = False  # the release: one more logit, at row 0, never used
    person_score: str = "cls"  # or "geometric": sqrt(cls * quality)
    # Or "product": times the person score; "geometric": sqrt(action * cls * quality), which ranks
    # like that product, so that boxes without a person rank low.
    action_score: str = "action"
    max_people: int = 10  # per clip
    min_score: float = 0.0  # people with a lower score are dropped before the action head
    max_iou: float = 0.3  # between two people (non-maximum suppression)

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                got, wanted = getattr(self, name), ", ".join(choices)
                raise UsageError(f"MestadConfig.{name} is {got!r}; choose one of {wanted}.")
        if self.head != "linear" and self.context:
            raise UsageError(
                f"MestadConfig.context needs the linear head; head is {self.head!r}: set it to "
                "linear or drop context."
            )
        grid_only = [name for name in ("joints", "glimpse") if getattr(self, name)]
        if self.head != "grid" and grid_only:
            raise UsageError(
                f"MestadConfig.{grid_only[0]} needs the grid head; head is {self.head!r}: set it "
                f"to grid or drop {grid_only[0]}."
            )
        if (self.people == "nanodet") != (self.backbone == "nanodet"):
            raise UsageError(
                f"MestadConfig.people is {self.people!r} but backbone is {self.backbone!r}: set "
                "both to nanodet, or neither."
            )
        # YAML and JSON have no tuples.
        object.__setattr__(self, "dilation", tuple(self.dilation))
        object.__setattr__(self, "sources", tuple(map(tuple, self.sources)))
        object.__setattr__(self, "exclusive", tuple(self.exclusive))

    @classmethod
    def paper(cls, **changes: Any) -> MestadConfig:
        """ME-STAD as described in arXiv v1: the defaults."""
        return cls(**changes)

    @classmethod
    def release(cls, **changes: Any) -> MestadConfig:
        """SE-STAD as released: context, IoU quality, 81 logits, other dilation and head init."""
        settings = {
            "dilation": (2, 1),
            "context": True,
            "quality": "iou",
            "head_init": "normal",
            "background_row": True,
        }
        return cls(**{**settings, **changes})

    @classmethod
    def fcos_minus(cls, **changes: Any) -> MestadConfig:
        """FCOS- of Table 2: the original FCOS; use with `LossConfig.fcos_minus()`."""
        return cls(**{"distance": "exp", "quality_tower": "cls", **changes})


def _slowfast(config: MestadConfig) -> nn.Module:
    from stadkit.models import slowfast

    presets = {
        "slowonly-r50": slowfast.SlowFastConfig.slowonly_r50,
        "slowfast-r50": slowfast.SlowFastConfig.slowfast_r50,
        "slowfast-r101-nl": slowfast.SlowFastConfig.slowfast_r101_nl,
    }
    return slowfast.SlowFast(
        presets[config.backbone](
            dilation=config.dilation,
            fusion_norm=config.fusion_norm,
            slow_frames=config.slow_frames,
            nonlocal_order=config.nonlocal_order,
        )
    )


def _nano(config: MestadConfig) -> nn.Module:
    from stadkit.models.nano import Nano

    return Nano()


def _nanodet(config: MestadConfig) -> nn.Module:
    return nanodet.KeyFrame()


# Name -> (constructor, frames per clip).
BACKBONES: dict[str, tuple[Callable[[MestadConfig], nn.Module], int]] = {
    "slowonly-r50": (_slowfast, 4),
    "slowfast-r50": (_slowfast, 32),
    "slowfast-r101-nl": (_slowfast, 32),
    "nano": (_nano, 8),
    "nanodet": (_nanodet, 8),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "backbone": tuple(BACKBONES),
    "slow_frames": ("linspace", "nearest"),
    "nonlocal_order": ("pool-first", "conv-first"),
    "people": ("fcos", "nanodet"),
    "pyramid": tuple(PYRAMIDS),
    "distance": ("relu", "exp"),
    "quality_tower": ("reg", "cls"),
    "quality": ("centerness", "iou"),
    "head": ("linear", "acrn", "grid", "frames"),
    "head_init": ("xavier", "normal"),
    "person_score": ("cls", "geometric"),
    "action_score": ("action", "product", "geometric"),
}
