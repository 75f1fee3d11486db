"""Summaries of all models and backbones, and the table of `stadkit models list`.

The table is 80 columns wide, grouped by family, with the sources of figures below.
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

METRIC = " frame mAP"  # follows the name of a data set in `Card.reported`
WIDTH = 80
COLUMNS = {"name": 28, "dataset": 11, "mAP": -6, "size": -6, "licence": 12, "state": 12}
SHORT = {"none released": "-", "Kinetics-": "K"}  # abbreviations that fit the columns
GAP = " "
Row = Mapping[str, Any]


def rows() -> list[dict[str, Any]]:
    """One row per model, then one per backbone, as JSON types."""
    return [*(row(name) for name in CARDS), *(backbone_row(name) for name in BACKBONES)]


def row(name: str) -> dict[str, Any]:
    """A model's family, data set, published figures and the state of its weights."""
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
    """The same fields for a backbone, which has no published figures here."""
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
    """Where weights are or how to get them: `built in`, `here`, `downloadable` (with `pull`),
    `manual` (on Google Drive: `pull` with gdown, or a browser) or `importable` (none released:
    import your own)."""
    current = state(name)
    if current != "absent":
        return current
    if name in BACKBONES or card(name).url:
        return "downloadable"
    return "manual" if card(name).drive_id else "importable"


def dataset(known: Card) -> str:
    """The data set of a model's classes, in the version that its figure was measured on."""
    named = [key.removesuffix(METRIC) for key in known.reported if key.endswith(METRIC)]
    if named:
        return named[0]
    if known.classes == ava():
        return "AVA"
    return "Playground" if known.classes == playground() else f"{len(known.classes)} classes"


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of the table; the letter after a figure refers to a source below."""
    marks = _marks(rows)
    lines = [_line({name: name for name in COLUMNS})]
    for family in dict.fromkeys(row["family"] for row in rows):
        lines += ["", f"{family}:"]
        for row in (row for row in rows if row["family"] == family):
            lines += _lines(_cells(row, marks))
    sources = (f"{mark}  {source}" for source, mark in marks.items())
    wrapped = [textwrap.wrap(source, WIDTH, subsequent_indent="   ") for source in sources]
    return [*lines, "", *(line for source in wrapped for line in source)]


def _marks(rows: Sequence[Row]) -> dict[str, str]:
    """Source of a figure -> its letter: a, b, .. z, aa, .."""
    sources = dict.fromkeys(_source(row) for row in rows if row["reported"] and row["source"])
    letters = string.ascii_lowercase
    names = [*letters, *(a + b for a in letters for b in letters)]
    return dict(zip(sources, names, strict=False))


def _source(row: Row) -> str:
    """The publication of a figure, without the place inside it."""
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


def size(count: int | None) -> str:
    """Format a number of bytes in MB or GB."""
    if count is None:
        return "-"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _lines(cells: Mapping[str, str]) -> list[str]:
    """The lines of a row; a name that is too long gets its own line."""
    if len(cells["name"]) <= COLUMNS["name"]:
        return [_line(cells)]
    return [cells["name"], _line({**cells, "name": ""})]


def _line(cells: Mapping[str, str]) -> str:
    return GAP.join(_padded(cells[name], width) for name, width in COLUMNS.items()).rstrip()


def _padded(text: str, width: int) -> str:
    """Pad or truncate text to |width| columns; a negative width aligns right."""
    columns = abs(width)
    for long, short in SHORT.items():
        text = text.replace(long, short)
    text = text if len(text) <= columns else text[: columns - 1] + "…"
    return text.rjust(columns) if width < 0 else text.ljust(columns)
