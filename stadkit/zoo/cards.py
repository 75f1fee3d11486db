"""Model cards: everything about a model but its weights, as a plain dict."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from stadkit.errors import UsageError
from stadkit.labels import Labels, ava
from stadkit.synth.classes import labels as playground
from stadkit.video.resize import Resizing
from stadkit.zoo.backbones import BACKBONES
from stadkit.zoo.catalogue import EVAD, LITE_PIXELS, NANO, STMIXER
from stadkit.zoo.two_stage_catalogue import PLAIN, TWO_STAGE

if TYPE_CHECKING:
    from torch import nn

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Card:
    """How a model is built, fed and thresholded, and where its weights come from."""

    family: str
    settings: Mapping[str, Any]  # fields of the family's config
    classes: Labels
    frames: int
    stride: float  # frame spacing in units of 1/30 s, whatever the video's frame rate
    key: int  # index of the key frame in the clip
    short_side: int  # pixels
    mean: Triple  # of RGB levels 0..255
    std: Triple  # of RGB levels
    min_person: float  # boxes below this person score are dropped
    min_action: float  # actions below this score are not written
    min_drawn: float = 0.3  # actions below this score are not drawn
    resize: Resizing = "area"  # interpolation for shrinking frames
    long_side: int = 0  # maximum pixels; 0: 8 short sides
    batch: int = 1  # default clips per batch
    exact: bool = False  # figures were measured in float32, which is the default on a CPU
    tubelet: bool = False  # predicts a box per frame of the clip, not only at the key frame
    multiple: int = 32  # clips are padded to multiples of this many pixels
    url: str = ""  # of the weights; empty: none released
    drive_id: str = ""  # Google Drive id, for weights hosted only there
    file: str = ""  # name of the file behind url or drive_id
    sha256: str = ""  # of the weights as stored here; empty: the sidecar has it
    size: int = 0  # bytes of that file; 0: unknown
    sha256_prefix: str = ""  # first hex digits of the sha256 of the file behind url
    licence: str = "none released"  # of the weights
    reported: Mapping[str, float] = field(default_factory=dict)  # published by others, not ours
    source: str = ""  # where those figures are published
    taught: Mapping[str, str] = field(
        default_factory=dict
    )  # class -> its training data, where classes differ
    class_ap: Mapping[str, float] = field(default_factory=dict)  # measured here, see `source`
    origin: str = ""  # code base, where code bases share tensor names but compute differently
    note: str = ""

    @property
    def seconds(self) -> float:
        """Seconds between consecutive frames of a clip."""
        return self.stride / 30


def _published(backbone: str, frames: int, stride: float, ava_map: float) -> Card:
    """ME-STAD as published; its authors released no weights."""
    return Card(
        family="mestad",
        settings={"backbone": backbone, "classes": 80},
        classes=ava(),
        frames=frames,
        stride=stride,
        key=frames // 2,
        short_side=256,
        # Mean, std, fusion norms and slow frames follow PySlowFast, for its Kinetics weights.
        mean=PLAIN["mean"],
        std=PLAIN["std"],
        min_person=0.4,
        min_action=0.002,
        reported={"AVA v2.2 frame mAP": ava_map},
        source="ME-STAD (arXiv 2206.03064) Table 1; the paper's figure, not measured here",
        note="Train it with `stadkit train`, or import a state dict with canonical names.",
    )


CARDS: dict[str, Card] = {
    "mestad-nano": Card(**NANO),
    "mestad-tiny": Card(
        family="mestad",
        settings={
            "backbone": "nano",
            "classes": len(playground().ids),
            "width": 64,
            "depth": 2,
            "groups": 8,
            "head": "grid",
            "glimpse": True,
            "roi_size": 7,
            "roi_sampling": 2,
            "dropout": 0.3,
            "quality": "iou",
            "person_score": "geometric",
            "action_score": "geometric",
            "max_people": 20,
            "max_iou": 0.5,
        },
        classes=playground(),
        frames=8,
        stride=4.8,
        key=4,
        short_side=216,
        mean=LITE_PIXELS["mean"],
        std=LITE_PIXELS["std"],
        min_person=0.6,
        min_action=0.1,
        batch=8,
        multiple=32,
        note="Small enough for a CPU: train it with examples/configs/mestad-tiny.yaml.",
    ),
    "mestad-slowonly-r50": _published("slowonly-r50", 4, 16, 21.5),
    "mestad-slowfast-r50": _published("slowfast-r50", 32, 2, 25.5),
    "mestad-slowfast-r101-nl": _published("slowfast-r101-nl", 32, 2, 28.5),
    **{name: Card(**fields) for name, fields in (EVAD | STMIXER | TWO_STAGE).items()},
}


def card(name: str) -> Card:
    """Look up a card by name; raises UsageError suggesting the closest name."""
    if name in CARDS:
        return CARDS[name]
    if name in BACKBONES:
        raise UsageError(f"{name} is a backbone, not a model; to train from it, set `init: {name}`")
    near = difflib.get_close_matches(name, CARDS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown model {name!r}; {hint}`stadkit models list` shows all models")


def build(name: str) -> nn.Module:
    """Build an untrained model by name; raises UsageError for an unknown name."""
    return build_card(card(name))


def build_card(card: Card) -> nn.Module:
    """Build the untrained model of a card; raises UsageError for an unknown family or setting."""
    if card.family not in FAMILIES:
        raise UsageError(
            f"unknown model family {card.family!r}; known families: {', '.join(FAMILIES)}"
        )
    try:
        return FAMILIES[card.family](card.settings)
    except TypeError as error:  # an unknown setting
        raise UsageError(f"settings of {card.family}: {error}") from error


def _build_mestad(settings: Mapping[str, Any]) -> nn.Module:
    from stadkit.models import (
        mestad,
        mestad_config,  # torch starts here
    )

    return mestad.build(mestad_config.MestadConfig(**settings))


def _build_evad(settings: Mapping[str, Any]) -> nn.Module:
    from stadkit.models import evad

    return evad.build(evad.EvadConfig(**settings))


def _build_stmixer_k(settings: Mapping[str, Any]) -> nn.Module:
    from stadkit.models import stmixer

    return stmixer.build(stmixer.StmixerConfig(**settings))


def _build_stmixer_t(settings: Mapping[str, Any]) -> nn.Module:
    from stadkit.models import stmixer_t

    return stmixer_t.build(stmixer_t.StmixerTConfig(**settings))


def _build_two_stage(settings: Mapping[str, Any]) -> nn.Module:
    from stadkit.models import two_stage

    return two_stage.build(two_stage.TwoStageConfig(**settings))


FAMILIES = {
    "mestad": _build_mestad,
    "evad": _build_evad,
    "stmixer-k": _build_stmixer_k,
    "stmixer-t": _build_stmixer_t,
    "slowfast-roi": _build_two_stage,
}


def to_json(card: Card) -> dict[str, Any]:
    """Convert a card to JSON types; the inverse of `from_json`."""
    return asdict(card)


def _frozen(value: Any) -> Any:
    """Convert lists to tuples, recursively."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def from_json(held: Mapping[str, Any]) -> Card:
    """Rebuild a card from `to_json`; raises TypeError or KeyError for anything else."""
    labels = held["classes"]
    classes = Labels(ids=tuple(labels["ids"]), names=tuple(labels["names"]))
    triples = {name: tuple(held[name]) for name in ("mean", "std")}
    settings = {name: _frozen(value) for name, value in held["settings"].items()}
    return Card(**{**held, "settings": settings, "classes": classes, **triples})
