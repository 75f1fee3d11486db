"""What there is: each model and backbone in a few words, for lists of them.

The table of `stadkit models list`: 80 columns, a group a family, sources below.
"""

from __future__ import annotations

import string
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from stadkit.labels import ava
from stadkit.synth.classes import labels as playground
from stadkit.zoo.backbones import BACKBONES
from stadkit.zoo.cards import CARDS, Card, card
from stadkit.zoo.weights import state, weights_path

METRIC = " frame mAP"  # after the name of a data set, in `Card.reported`
WIDTH = 80
COLUMNS = {"name": 28, "dataset": 11, "mAP": -6, "size": -6, "licence": 12, "state": 12}
SHORT = {"none released": "-", "Kinetics-": "K"}  # what else would not fit
GAP = " "
Row = Mapping[str, Any]


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


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of the table; a letter after a figure is that of its source below."""
    marks = _marks(rows)
    lines = [_line({name: name for name in COLUMNS})]
    for family in dict.fromkeys(row["family"] for row in rows):
        lines += ["", f"{family}:"]
        for row in (row for row in rows if row["family"] == family):
            lines += _lines(_cells(row, marks))
    sources = (f"{mark}  {source}" for source, mark in marks.items())
    told = [textwrap.wrap(source, WIDTH, subsequent_indent="   ") for source in sources]
    return [*lines, "", *(line for source in told for line in source)]


def _marks(rows: Sequence[Row]) -> dict[str, str]:
    """A letter for each source of a figure: a, b, .. z, aa, .."""
    sources = dict.fromkeys(_source(row) for row in rows if row["reported"] and row["source"])
    letters = string.ascii_lowercase
    names = [*letters, *(a + b for a in letters for b in letters)]
    return dict(zip(sources, names, strict=False))


def _source(row: Row) -> str:
    """Where a figure is printed, without the place in there."""
    whole: str = row["source"]
    return whole.partition(";")[0].partition(",")[0]


def _cells(row: Row, marks: Mapping[str, str]) -> dict[str, str]:
    figure = next((f"{value:g}" for value in row["reported"].values()), "-")
    return {
        "name": row["name"],
        "dataset": row["dataset"],
        "mAP": figure + (marks.get(_source(row), "") if row["reported"] else ""),
        "size": size(row["size"]),
        "licence": row["licence"],
        "state": row["state"],
    }


def size(many: int | None) -> str:
    """Bytes for people."""
    if many is None:
        return "-"
    return f"{many / 1e9:.1f} GB" if many >= 1e9 else f"{many / 1e6:.0f} MB"


def _lines(cells: Mapping[str, str]) -> list[str]:
    """A row; a name that is too long has a line of its own."""
    if len(cells["name"]) <= COLUMNS["name"]:
        return [_line(cells)]
    return [cells["name"], _line({**cells, "name": ""})]


def _line(cells: Mapping[str, str]) -> str:
    return GAP.join(_padded(cells[name], width) for name, width in COLUMNS.items()).rstrip()


def _padded(text: str, width: int) -> str:
    """Text in |width| columns, numbers (below 0) to the right; what is too long is cut."""
    room = abs(width)
    for long, short in SHORT.items():
        text = text.replace(long, short)
    text = text if len(text) <= room else text[: room - 1] + "…"
    return text.rjust(room) if width < 0 else text.ljust(room)
