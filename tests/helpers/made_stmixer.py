"""The card of a tiny STMixer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stadkit import zoo

SMALL = {
    "backbone": "slowonly-tiny",
    "width": 16,
    "groups": 2,
    "queries": 4,
    "points": 4,
    "out_points": 4,
    "stages": 1,
    "heads": 2,
    "feedforward": 8,
}


def small(name: str = "stmixer-k-slowonly-r50", **settings: Any) -> zoo.Card:
    """The card of this name with a small model."""
    known = zoo.card(name)
    return replace(known, settings={**known.settings, **SMALL, **settings})
