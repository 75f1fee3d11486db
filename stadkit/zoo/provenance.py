"""Compare models by their cards where tensor names and shapes do not tell them apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stadkit.errors import WeightsError
from stadkit.zoo.cards import Card, from_json
from stadkit.zoo.weights import read_sidecar, sha256

# Card fields that change what a model computes.
COMPUTING_FIELDS = ("family", "frames", "stride", "key", "mean", "std")


def card_beside(path: Path) -> Card | None:
    """The card in a weights file's sidecar; None unless the sidecar's sha256 matches the file."""
    try:
        notes = read_sidecar(path)
        if "card" not in notes or notes.get("sha256") != sha256(path):
            return None
        return from_json(notes["card"])
    except (WeightsError, LookupError, TypeError, ValueError, AttributeError):
        return None  # an unrelated JSON file with this name


def differences(one: Card, other: Card) -> list[str]:
    """Where two cards' models compute differently: "frames 64, not 32"."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in COMPUTING_FIELDS}
    for name in sorted({*one.settings, *other.settings}):
        if "drop" not in name:  # dropout matters only in training
            pairs[name] = one.settings.get(name), other.settings.get(name)
    return [
        f"{name} {_text(mine)}, not {_text(theirs)}"
        for name, (mine, theirs) in pairs.items()
        if not _same(mine, theirs)
    ]


def have_same_tensors(names: Sequence[str]) -> str:
    """Format "A and B have the same tensors"."""
    return f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} the same tensors"


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or json.dumps(one) == json.dumps(other)  # JSON has no tuples


def _text(value: Any) -> str:
    return "unset" if value is None else str(value)
