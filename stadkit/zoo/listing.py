"""What there is: each model and backbone in a few words, for lists of them."""

from __future__ import annotations

from typing import Any

from stadkit.labels import ava
from stadkit.synth.classes import labels as playground
from stadkit.zoo.backbones import BACKBONES
from stadkit.zoo.cards import CARDS, Card, card
from stadkit.zoo.weights import state, weights_path

METRIC = " frame mAP"  # after the name of a data set, in `Card.reported`


def rows() -> list[dict[str, Any]]:
    """A row a model, then a row a backbone, as JSON can hold them."""
    return [*(row(name) for name in CARDS), *(backbone_row(name) for name in BACKBONES)]


def row(name: str) -> dict[str, Any]:
    """A model: what it is, what others report of it, and where its weights are."""
    known, path = card(name), weights_path(name)
    return {
        "name": name,
        "family": known.family,
        "dataset": dataset(known),
        "weights": state(name),
        "state": obtainable(name),
        "size": path.stat().st_size if path else known.size or None,
        "frames": f"{known.frames} x {known.stride:g}/30 s",
        "classes": len(known.classes),
        "licence": known.licence,
        "reported": dict(known.reported),
        "source": known.source,
    }


def backbone_row(name: str) -> dict[str, Any]:
    """The same of a backbone, which nobody reports a figure of here."""
    known, path = BACKBONES[name], weights_path(name)
    return {
        "name": name,
        "family": "backbone",
        "dataset": known.trained.partition(",")[0],
        "weights": state(name),
        "state": obtainable(name),
        "size": path.stat().st_size if path else known.size,
        "frames": None,
        "classes": None,
        "licence": known.licence,
        "reported": {},
        "source": known.url,
    }


def obtainable(name: str) -> str:
    """Where weights are, or how they come: `built in`, `here`, `downloadable` (by `pull`),
    `manual` (Google Drive: by `pull` with gdown, or in a browser) or `importable` (nobody released
    any: one's own)."""
    held = state(name)
    if held != "absent":
        return held
    if name in BACKBONES or card(name).url:
        return "downloadable"
    return "manual" if card(name).drive_id else "importable"


def dataset(known: Card) -> str:
    """The data set of a model's classes, of the version that its figure was measured on."""
    named = [key.removesuffix(METRIC) for key in known.reported if key.endswith(METRIC)]
    if named:
        return named[0]
    if known.classes == ava():
        return "AVA"
    return "Playground" if known.classes == playground() else f"{len(known.classes)} classes"
