"""Fields of the cards of small models, for trying a family on a CPU."""

from __future__ import annotations

from typing import Any

from stadkit.synth.classes import labels as playground
from stadkit.zoo.two_stage_fields import PLAIN, Fields

LITE_PIXELS = {"mean": (127.5, 127.5, 127.5), "std": (63.75, 63.75, 63.75)}  # as Lite reads them


def tiny(family: str, config: str, multiple: int, **settings: Any) -> Fields:
    """A small one for the Playground's classes; config: the training of it in the examples."""
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
        "note": f"For trying it on a CPU: train it with examples/configs/{config}.yaml.",
    }
