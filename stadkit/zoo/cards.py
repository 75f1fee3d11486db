"""The cards: everything about a model but its weights. A dict you can read."""

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
    resize: Resizing = "area"  # how frames shrink
    long_side: int = 0  # pixels at most; 0: 8 short sides
    batch: int = 1  # clips at once, unless the user says otherwise
    tubelet: bool = False  # a box for each frame of the clip, not for the key frame alone
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


def _evad(drive_id: str, ava_map: float, **settings: Any) -> Card:
    """EVAD as its authors released it, for AVA's 80 classes."""
    return Card(
        family="evad",
        # Released weights were trained with the tokens in this order.
        settings={"classes": 80, "token_order": "importance", **settings},
        classes=ava(),
        frames=16,
        stride=4,
        key=8,
        short_side=288,
        # As their frames were resized, in training and for the reported figures.
        resize="linear",
        long_side=1333,
        mean=PYSLOWFAST_MEAN,
        std=PYSLOWFAST_STD,
        min_person=0.7,
        min_action=0.002,
        drive_id=drive_id,
        licence="CC-BY-NC-4.0",
        reported={"AVA v2.2 frame mAP": ava_map},
        source="EVAD's model zoo (arXiv 2304.08451); the authors' figure, not measured here",
        note="Its weights are on Google Drive only: see `stadkit models pull`.",
    )


def _stmixer(backbone: str, frames: int, stride: float, **more: Any) -> Card:
    """STMixer as its authors have it, for AVA's 80 classes; K unless `more` says otherwise."""
    common: dict[str, Any] = {
        "family": "stmixer-k",
        "licence": "none stated",
        "note": "Its weights are on Google Drive only: see `stadkit models pull`.",
    }
    return Card(
        **{**common, **more},
        settings={"classes": 80, "backbone": backbone, "frames": frames},
        classes=ava(),
        frames=frames,
        stride=stride,
        key=frames // 2,
        short_side=256,
        resize="linear",
        mean=PYSLOWFAST_MEAN,
        std=PYSLOWFAST_STD,
        min_person=0.6,
        min_action=0.002,
    )


def _stmixer_t(backbone: str, frames: int) -> Card:
    """STMixer-T; its authors released neither code nor weights."""
    return _stmixer(
        backbone,
        frames,
        4,
        family="stmixer-t",
        tubelet=True,
        licence="none released",
        note="Train it with `stadkit train`; weights of stmixer-k with this backbone can start it.",
    )


def _tiny(family: str, config: str, multiple: int, **settings: Any) -> Card:
    """A small one for the Playground's classes; config: the training of it in the examples."""
    return Card(
        family=family,
        settings={"classes": len(playground().ids), "frames": 8, **settings},
        classes=playground(),
        frames=8,
        stride=4.8,
        key=4,
        short_side=128,
        mean=PYSLOWFAST_MEAN,
        std=PYSLOWFAST_STD,
        min_person=0.5,
        min_action=0.1,
        batch=8,
        multiple=multiple,
        tubelet=family == "stmixer-t",
        note=f"For trying it on a CPU: train it with examples/configs/{config}.yaml.",
    )


STMIXER_TINY: dict[str, Any] = {
    "backbone": "slowonly-tiny",
    "queries": 20,
    "width": 96,
    "points": 16,
    "out_points": 32,
    "stages": 3,
    "heads": 4,
    "feedforward": 384,
}


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
        sha256="7fb7463797391862eb85b8062db79934e10218009e9f4cdadc7f453609efc046",
        licence="Apache-2.0",
        note="Built in. Trained on rendered people only: see weights/README.md.",
    ),
    "mestad-slowonly-r50": _published("slowonly-r50", 4, 16, 21.5),
    "mestad-slowfast-r50": _published("slowfast-r50", 32, 2, 25.5),
    "mestad-slowfast-r101-nl": _published("slowfast-r101-nl", 32, 2, 28.5),
    "evad-tiny": _tiny(
        "evad",
        "evad-tiny",
        16,
        width=128,
        depth=8,
        heads=4,
        base=(8, 10),
        maps_at=(1, 3, 5, 7),
        prune_at=(2, 4, 6),
        drop_path=0.0,
        proposals=20,
        people_width=96,
        people_heads=3,
        people_attention=4,
        feedforward=384,
        dynamic=24,
        decoder_width=96,
        decoder_depth=2,
        decoder_heads=4,
        decoder_drop_path=0.0,
        classifier=256,
    ),
    "evad-vit-b": _evad(
        "1cvFLZNuP6jfGSkE7UCdI1cJTennqXsMS", 32.3, keep_rate=0.7, roi_extension=(0.4, 0.2)
    ),
    "evad-vit-b-keep06": _evad(
        "1toUWQTQz1SlkZ0k2_AC5l58-GfNpbZTw",
        31.8,
        keep_rate=0.6,
        keyframe_weight=4.0,
        roi_extension=(0.4, 0.2),
    ),
    "evad-vit-b-full": _evad(
        "1gBqYhNmE0RBidSfG-QSaU1ur_hwv1i2u", 32.1, keep_rate=1.0, roi_extension=(0.0, 0.0)
    ),
    "evad-vit-l": _evad(
        "1FVosE4p27a4GDwG_PNYtGbkupx4vGOi-",
        39.7,
        width=1024,
        depth=24,
        heads=16,
        maps_at=(5, 11, 17, 23),
        prune_at=(6, 12, 18),
        keep_rate=0.7,
        drop_path=0.2,
        decoder_width=512,
        decoder_depth=12,
        decoder_heads=8,
        roi_extension=(0.4, 0.2),
    ),
    "stmixer-k-slowonly-r50": _stmixer(
        "slowonly-r50", 4, 16, drive_id="1qJdnCGwi5NeqpHFYxPpIixLY6Mpsuync"
    ),
    "stmixer-k-slowfast-r50": _stmixer(
        "slowfast-r50", 32, 2, drive_id="1pwXBC-g-OS71wzd9lxHDITASRw1cxRWm"
    ),
    "stmixer-k-slowfast-r101-nl": _stmixer(
        "slowfast-r101-nl", 32, 2, drive_id="1oouF7IZFxs-vXhUDXSkLpy7FE5oh6Vp2"
    ),
    "stmixer-k-vit-b": _stmixer("vit-b", 16, 4, drive_id="1hVni60LLWHZBaaNkccrrEAo1xFEM2ZPV"),
    "stmixer-k-vit-b-v2": _stmixer(
        "vit-b",
        16,
        4,
        drive_id="1S5_mePN9lmkIyW_kRcTESfeitKomqW-y",
        reported={"AVA v2.2 frame mAP": 36.1},
        source="the paper's figure as a user of the code quotes it, who measured 34.89",
    ),
    "stmixer-k-tiny": _tiny("stmixer-k", "stmixer-k-tiny", 32, **STMIXER_TINY),
    "stmixer-t-slowonly-r50": _stmixer_t("slowonly-r50", 8),
    "stmixer-t-vit-b": _stmixer_t("vit-b", 16),
    "stmixer-t-tiny": _tiny("stmixer-t", "stmixer-t-tiny", 32, **STMIXER_TINY),
}


def card(name: str) -> Card:
    """The card of this name; raises UsageError with the nearest name when there is none."""
    if name in CARDS:
        return CARDS[name]
    if name in BACKBONES:
        raise UsageError(
            f"{name} is a backbone, not a model: start a training from it with `init: {name}`"
        )
    near = difflib.get_close_matches(name, CARDS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"no model is called {name!r}; {hint}`stadkit models list` shows them all")


def build(name: str) -> nn.Module:
    """The untrained module of this name; raises UsageError for an unknown name."""
    return build_card(card(name))


def build_card(card: Card) -> nn.Module:
    """The untrained module that a card describes; raises UsageError where it describes none."""
    if card.family not in FAMILIES:
        raise UsageError(f"no family of models is called {card.family!r}: {', '.join(FAMILIES)}")
    try:
        return FAMILIES[card.family](card.settings)
    except TypeError as error:  # a setting that the family's config does not have
        raise UsageError(f"settings of {card.family}: {error}") from error


def _build_mestad(settings: Mapping[str, Any]) -> nn.Module:
    from stadkit.models import mestad  # torch starts here

    return mestad.build(mestad.MestadConfig(**settings))


def _build_evad(settings: Mapping[str, Any]) -> nn.Module:
    from stadkit.models import evad

    return evad.build(evad.EvadConfig(**settings))


def _build_stmixer_k(settings: Mapping[str, Any]) -> nn.Module:
    from stadkit.models import stmixer

    return stmixer.build(stmixer.StmixerConfig(**settings))


def _build_stmixer_t(settings: Mapping[str, Any]) -> nn.Module:
    from stadkit.models import stmixer_t

    return stmixer_t.build(stmixer_t.StmixerTConfig(**settings))


FAMILIES = {
    "mestad": _build_mestad,
    "evad": _build_evad,
    "stmixer-k": _build_stmixer_k,
    "stmixer-t": _build_stmixer_t,
}


def to_json(card: Card) -> dict[str, Any]:
    """A card as JSON can hold it; `from_json` gives it back."""
    return asdict(card)


def from_json(held: Mapping[str, Any]) -> Card:
    """A card from what `to_json` gave; raises TypeError or KeyError when it is not one."""
    labels = held["classes"]
    classes = Labels(ids=tuple(labels["ids"]), names=tuple(labels["names"]))
    triples = {name: tuple(held[name]) for name in ("mean", "std")}
    # JSON has lists only.
    given = held["settings"].items()
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in given}
    return Card(**{**held, "settings": settings, "classes": classes, **triples})
