"""Card fields of the end-to-end models: ME-STAD, EVAD, STMixer and their tiny variants."""

from __future__ import annotations

from typing import Any

from stadkit.labels import Labels, ava
from stadkit.synth.classes import CLASSES as RENDERED
from stadkit.synth.classes import labels as playground
from stadkit.zoo.two_stage_catalogue import PLAIN, Fields

LITE_PIXELS = {"mean": (127.5, 127.5, 127.5), "std": (63.75, 63.75, 63.75)}  # input of `Lite`
# J-HMDB's actions, learned from real people; each clip shows exactly one.
REAL = (
    *("brush hair", "catch", "clap", "climb stairs", "golf", "jump", "kick ball", "pick up"),
    *("pour", "pull up", "push", "run", "shoot ball", "shoot bow", "shoot gun", "sit down"),
    *("stand up", "swing baseball", "throw", "walk", "wave"),
)
NAMES = (*REAL, *(name for name in RENDERED if name not in REAL))
SOURCES = tuple(tuple(NAMES.index(name) for name in source) for source in (REAL, RENDERED))
EVAD_TINY: dict[str, Any] = {
    "stem": "lite",
    "tubelet": 1,  # one frame per token, so that 8 frames leave tokens to drop
    "width": 128,
    "depth": 8,
    "heads": 4,
    "base": (8, 10),
    "maps_at": (1, 3, 5, 7),
    "prune_at": (2, 4, 6),
    "drop_path": 0.0,
    "proposals": 20,
    "people_width": 96,
    "people_heads": 3,
    "people_attention": 4,
    "feedforward": 384,
    "dynamic": 24,
    "decoder_width": 96,
    "decoder_depth": 2,
    "decoder_heads": 4,
    "decoder_drop_path": 0.0,
    "classifier": 256,
}
STMIXER_TINY: dict[str, Any] = {
    "backbone": "lite",
    "queries": 12,
    "width": 64,
    "points": 8,
    "out_points": 32,
    "stages": 3,
    "heads": 4,
    "feedforward": 256,
}


def tiny(family: str, config: str, multiple: int, **settings: Any) -> Fields:
    """A small model for the Playground's classes; config: its training config in the examples."""
    return {
        "family": family,
        "settings": {"classes": len(playground().ids), "frames": 8, **settings},
        "classes": playground(),
        "frames": 8,
        "stride": 4.8,
        "key": 4,
        "short_side": 128,
        **PLAIN,
        "min_person": 0.5,
        "min_action": 0.1,
        "batch": 8,
        "multiple": multiple,
        "tubelet": family == "stmixer-t",
        "note": f"Small enough for a CPU: train it with examples/configs/{config}.yaml.",
    }


def training_people(name: str) -> str:
    """The people the built-in model learned a class from: real, rendered, or both."""
    datasets = (("real", REAL), ("rendered", RENDERED))
    return " and ".join(people for people, names in datasets if name in names) + " people"


NANO: Fields = {
    "family": "mestad",
    "settings": {
        "backbone": "nanodet",
        "people": "nanodet",
        "classes": len(NAMES),
        "pyramid": "res3-5",
        "head": "frames",
        "sources": SOURCES,
        "exclusive": (True, False),
        "person_score": "cls",
        "action_score": "geometric",
        "max_people": 40,
        "min_score": 0.05,
        "max_iou": 0.5,
    },
    "classes": Labels(tuple(range(1, len(NAMES) + 1)), NAMES),
    "frames": 8,
    "stride": 4.8,
    "key": 4,
    "short_side": 288,
    "mean": (123.675, 116.28, 103.53),  # NanoDet's
    "std": (58.395, 57.12, 57.375),
    "min_person": 0.48,
    # On held-out films, for a person score of .75: at .3, 98 of 100 people get an action, 1.6
    # each on average, half of them correct; at .4, .8 each, 7 of 10 correct, the best F1.
    "min_action": 0.3,
    "min_drawn": 0.4,
    "batch": 8,
    "multiple": 32,
    "exact": True,
    "sha256": "78db98e873a769bf29f88cddef8edf62297844cd6b124289ed41aad528f4b843",
    # At IoU .5 on J-HMDB's test clips, split 1: docs/jhmdb.md.
    "class_ap": {
        "brush hair": 0.624,
        "catch": 0.460,
        "clap": 0.695,
        "climb stairs": 0.931,
        "golf": 0.974,
        "jump": 0.220,
        "kick ball": 0.659,
        "pick up": 0.628,
        "pour": 0.831,
        "pull up": 0.993,
        "push": 0.987,
        "run": 0.359,
        "shoot ball": 0.674,
        "shoot bow": 0.974,
        "shoot gun": 0.528,
        "sit down": 0.559,
        "stand up": 0.763,
        "swing baseball": 0.421,
        "throw": 0.326,
        "walk": 0.713,
        "wave": 0.479,
    },
    "taught": {name: training_people(name) for name in NAMES},
    "licence": "Apache-2.0",
    "note": "Built in. AP is measured on J-HMDB's test clips; see weights/README.md.",
}


def _evad(drive_id: str, ava_map: float, **settings: Any) -> Fields:
    """EVAD as released by its authors, for AVA's 80 classes."""
    return {
        "family": "evad",
        # The released weights were trained with this token order.
        "settings": {"classes": 80, "token_order": "importance", **settings},
        "classes": ava(),
        "frames": 16,
        "stride": 4,
        "key": 8,
        "short_side": 288,
        # The authors' resizing, in training and for the reported figures.
        "resize": "linear",
        "long_side": 1333,
        **PLAIN,
        "min_person": 0.7,
        "min_action": 0.002,
        "drive_id": drive_id,
        "licence": "CC-BY-NC-4.0",
        "reported": {"AVA v2.2 frame mAP": ava_map},
        "source": "EVAD's model zoo (arXiv 2304.08451); the authors' figure, not measured here",
        "note": "Its weights are only on Google Drive: see `stadkit models pull`.",
    }


EVAD: dict[str, Fields] = {
    "evad-tiny": {**tiny("evad", "evad-tiny", 32, **EVAD_TINY), **LITE_PIXELS},
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
}


def _stmixer(backbone: str, frames: int, stride: float, **more: Any) -> Fields:
    """STMixer as published, for AVA's 80 classes; STMixer-K unless `more` overrides it."""
    return {
        "family": "stmixer-k",
        "licence": "none stated",
        "note": "Its weights are only on Google Drive: see `stadkit models pull`.",
        "settings": {"classes": 80, "backbone": backbone, "frames": frames},
        "classes": ava(),
        "frames": frames,
        "stride": stride,
        "key": frames // 2,
        "short_side": 256,
        "resize": "linear",
        **PLAIN,
        "min_person": 0.6,
        "min_action": 0.002,
        **more,
    }


def _stmixer_t(backbone: str, frames: int) -> Fields:
    """STMixer-T; its authors released neither code nor weights."""
    return _stmixer(
        backbone,
        frames,
        4,
        family="stmixer-t",
        tubelet=True,
        licence="none released",
        note="Train it with `stadkit train`, e.g. from stmixer-k weights with this backbone.",
    )


def _stmixer_tiny(kind: str) -> Fields:
    """A small STMixer on a `Lite` backbone; kind: k or t."""
    family = f"stmixer-{kind}"
    return {**tiny(family, f"{family}-tiny", 32, **STMIXER_TINY), **LITE_PIXELS}


STMIXER: dict[str, Fields] = {
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
        source="the paper's figure, quoted by a user of the code who measured 34.89",
    ),
    "stmixer-k-tiny": _stmixer_tiny("k"),
    "stmixer-t-slowonly-r50": _stmixer_t("slowonly-r50", 8),
    "stmixer-t-vit-b": _stmixer_t("vit-b", 16),
    "stmixer-t-tiny": _stmixer_tiny("t"),
}
