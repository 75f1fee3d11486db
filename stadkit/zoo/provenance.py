"""What no tensor shows of a model: by the card beside its weights, or else which it may be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stadkit.errors import WeightsError
from stadkit.zoo.cards import Card, from_json
from stadkit.zoo.weights import read_sidecar, sha256

if TYPE_CHECKING:
    pass

# Fields of a card that change what a model computes.
FIELDS = ("family", "frames", "stride", "key", "mean", "std")


def card_beside(path: Path) -> Card | None:
    """The card that was noted beside weights, where it was noted for these very ones."""
    try:
        notes = read_sidecar(path)
        if "card" not in notes or notes.get("sha256") != sha256(path):
            return None
        return from_json(notes["card"])
    except (WeightsError, LookupError, TypeError, ValueError, AttributeError):
        return None  # some other JSON with this name


def differences(one: Card, other: Card) -> list[str]:
    """What a model computes by one card and not by another: "frames 64, not 32"."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in FIELDS}
    for name in sorted({*one.settings, *other.settings}):
        if "drop" not in name:  # of training alone
            pairs[name] = one.settings.get(name), other.settings.get(name)
    return [
        f"{name} {_told(mine)}, not {_told(theirs)}"
        for name, (mine, theirs) in pairs.items()
        if not _same(mine, theirs)
    ]


def others(names: Sequence[str]) -> str:
    """`A and B have the same tensors`."""
    return f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} the same tensors"


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or json.dumps(one) == json.dumps(other)  # JSON has no tuples


def _told(value: Any) -> str:
    return "unsaid" if value is None else str(value)
