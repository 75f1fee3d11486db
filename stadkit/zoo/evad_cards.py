"""EVAD's models, as fields of their cards."""

from __future__ import annotations

from typing import Any

from stadkit.labels import ava
from stadkit.zoo.tiny_fields import LITE_PIXELS, tiny
from stadkit.zoo.two_stage_fields import PLAIN, Fields


def _evad(drive_id: str, ava_map: float, **settings: Any) -> Fields:
    """EVAD as its authors released it, for AVA's 80 classes."""
    return {
        "family": "evad",
        # Released weights were trained with the tokens in this order.
        "settings": {"classes": 80, "token_order": "importance", **settings},
        "classes": ava(),
        "frames": 16,
        "stride": 4,
        "key": 8,
        "short_side": 288,
        # As their frames were resized, in training and for the reported figures.
        "resize": "linear",
        "long_side": 1333,
        **PLAIN,
        "min_person": 0.7,
        "min_action": 0.002,
        "drive_id": drive_id,
        "licence": "CC-BY-NC-4.0",
        "reported": {"AVA v2.2 frame mAP": ava_map},
        "source": "EVAD's model zoo (arXiv 2304.08451); the authors' figure, not measured here",
        "note": "Its weights are on Google Drive only: see `stadkit models pull`.",
    }


TINY: dict[str, Any] = {
    "stem": "lite",
    "tubelet": 1,  # so that eight frames leave something to drop
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

EVAD: dict[str, Fields] = {
    "evad-tiny": {**tiny("evad", "evad-tiny", 32, **TINY), **LITE_PIXELS},
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
