"""STMixer's models, as fields of their cards."""

from __future__ import annotations

from typing import Any

from stadkit.labels import ava
from stadkit.zoo.tiny_fields import LITE_PIXELS, tiny
from stadkit.zoo.two_stage_fields import PLAIN, Fields


def _stmixer(backbone: str, frames: int, stride: float, **more: Any) -> Fields:
    """STMixer as its authors have it, for AVA's 80 classes; K unless `more` says otherwise."""
    return {
        "family": "stmixer-k",
        "licence": "none stated",
        "note": "Its weights are on Google Drive only: see `stadkit models pull`.",
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
        note="Train it with `stadkit train`; weights of stmixer-k with this backbone can start it.",
    )


TINY: dict[str, Any] = {
    "backbone": "lite",
    "queries": 12,
    "width": 64,
    "points": 8,
    "out_points": 32,
    "stages": 3,
    "heads": 4,
    "feedforward": 256,
}


def _tiny(kind: str) -> Fields:
    """A small one on frames as `Lite` sees them; kind: k or t."""
    family = f"stmixer-{kind}"
    return {**tiny(family, f"{family}-tiny", 32, **TINY), **LITE_PIXELS}


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
        source="the paper's figure as a user of the code quotes it, who measured 34.89",
    ),
    "stmixer-k-tiny": _tiny("k"),
    "stmixer-t-slowonly-r50": _stmixer_t("slowonly-r50", 8),
    "stmixer-t-vit-b": _stmixer_t("vit-b", 16),
    "stmixer-t-tiny": _tiny("t"),
}
