"""The cards: everything about a model but its weights. A dict you can read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from stadkit.errors import UsageError
from stadkit.labels import Labels, ava
from stadkit.synth.classes import labels as playground

if TYPE_CHECKING:
    from torch import nn

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Card:
    """How a model is built, fed and thresholded, and where its weights come from."""

    family: str
    settings: Mapping[str, Any]  # of the family's config
    classes: Labels
    frames: int
    stride: float  # 1/30 s between frames of a clip: clips are cut in seconds
    key: int  # index of the key frame in the clip
    short_side: int  # pixels
    mean: Triple  # of RGB levels 0..255
    std: Triple  # of RGB levels
    min_person: float  # a box below this person score is not reported
    min_action: float  # an action below this score is not written
    batch: int = 1  # clips at once, unless the user says otherwise
    multiple: int = 32  # clips are padded to multiples of this many pixels
    url: str = ""  # of the weights; empty: none released
    drive_id: str = ""  # Google Drive id, for weights that are only there
    file: str = ""  # name of the file behind url or drive_id
    sha256: str = ""  # of the weights as they lie here; empty: the sidecar has it
    size: int = 0  # bytes of that file, 0: unknown
    licence: str = "none released"  # of the weights
    reported: Mapping[str, float] = field(default_factory=dict)  # figures of others, not ours
    source: str = ""  # where those figures are printed
    note: str = ""

    @property
    def seconds(self) -> float:
        """Seconds between two frames of a clip."""
        return self.stride / 30


# Normalisation, fusion norms and slow frames of the architecture here are PySlowFast's, as its
# Kinetics weights want them: .45 and .225 of 255.
PYSLOWFAST_MEAN: Triple = (114.75, 114.75, 114.75)
PYSLOWFAST_STD: Triple = (57.375, 57.375, 57.375)


def _published(backbone: str, frames: int, stride: float, ava_map: float) -> Card:
    """ME-STAD as in the paper; its authors released no weights."""
    return Card(
        family="mestad",
        settings={"backbone": backbone, "classes": 80},
        classes=ava(),
        frames=frames,
        stride=stride,
        key=frames // 2,
        short_side=256,
        mean=PYSLOWFAST_MEAN,
        std=PYSLOWFAST_STD,
        min_person=0.4,
        min_action=0.002,
        reported={"AVA v2.2 frame mAP": ava_map},
        source="ME-STAD (arXiv 2206.03064) Table 1; the paper's figure, not measured here",
        note="Train it with `stadkit train`, or import a state dict with canonical names.",
    )


CARDS: dict[str, Card] = {
    "mestad-nano": Card(
        family="mestad",
        settings={
            "backbone": "nano",
            "classes": len(playground().ids),
            "width": 64,
            "depth": 2,
            "groups": 8,
            "head": "grid",
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
        short_side=176,
        mean=(127.5, 127.5, 127.5),
        std=(63.75, 63.75, 63.75),
        min_person=0.5,
        min_action=0.1,
        batch=8,
        multiple=16,
        sha256="79d8d0ef4663992bff0ba818fd1d038a9d21dad2a695b4d8845d822e63e01353",
        licence="Apache-2.0",
        note="Built in. Trained on rendered people only: see weights/README.md.",
    ),
    "mestad-slowonly-r50": _published("slowonly-r50", 4, 16, 21.5),
    "mestad-slowfast-r50": _published("slowfast-r50", 32, 2, 25.5),
    "mestad-slowfast-r101-nl": _published("slowfast-r101-nl", 32, 2, 28.5),
}


def card(name: str) -> Card:
    """The card of this name; raises UsageError with the nearest name when there is none."""
    if name in CARDS:
        return CARDS[name]
    near = difflib.get_close_matches(name, CARDS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"no model is called {name!r}; {hint}`stadkit models list` shows them all")


def build(name: str) -> nn.Module:
    """The untrained module of this name; raises UsageError for an unknown name."""
    return build_card(card(name))


def build_card(card: Card) -> nn.Module:
    """The untrained module that a card describes; raises UsageError where it describes none."""
    from stadkit.models import mestad  # torch starts here

    families = {"mestad": lambda settings: mestad.build(mestad.MestadConfig(**settings))}
    if card.family not in families:
        raise UsageError(f"no family of models is called {card.family!r}: {', '.join(families)}")
    try:
        return families[card.family](card.settings)
    except TypeError as error:  # a setting that the family's config does not have
        raise UsageError(f"settings of {card.family}: {error}") from error


def to_json(card: Card) -> dict[str, Any]:
    """A card as JSON can hold it; `from_json` gives it back."""
    return asdict(card)


def from_json(held: Mapping[str, Any]) -> Card:
    """A card from what `to_json` gave; raises TypeError or KeyError when it is not one."""
    labels = held["classes"]
    classes = Labels(ids=tuple(labels["ids"]), names=tuple(labels["names"]))
    triples = {name: tuple(held[name]) for name in ("mean", "std")}
    return Card(**{**held, "classes": classes, **triples})
