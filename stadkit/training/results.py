"""results.csv: a line an epoch. Figures are numbers; the scores by class are JSON in one cell."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from stadkit.files.rows import write_text

NAME = "results.csv"


def append(path: Path, figures: dict[str, Any]) -> None:
    """One more line, under a header if it is the first; the file is whole or as it was."""
    before = path.read_text("utf-8") if path.exists() else ""
    added = io.StringIO()
    writer = csv.DictWriter(added, list(figures), lineterminator="\n")
    if not before:
        writer.writeheader()
    writer.writerow({name: _cell(value) for name, value in figures.items()})
    write_text(path, [before, added.getvalue()])


def last(path: Path) -> dict[str, Any]:
    """The figures of the last line, None where one is not a number; {} without a file."""
    if not path.exists():
        return {}
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    return {name: _figure(cell) for name, cell in rows[-1].items()} if rows else {}


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value:.5g}"
    return json.dumps(value)


def _figure(cell: str) -> Any:
    return json.loads(cell, parse_constant=lambda _: None)
