"""AVA's CSV as evaluators take it: every row kept in its order, faults counted, not refused.

The format is that of `ava_csv`. What evaluators pass over is passed over here and counted:
actions that the labels lack, whose boxes stay as people, and found boxes that are inverted or
not finite. In truth such a box is an error. Broken CSV is an error in both.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stadkit.errors import AnnotationError
from stadkit.files import ava_csv
from stadkit.files.faults import SOME, TRUE_BOX, Faults, Rows, wrong_boxes
from stadkit.files.fields import Column, any_number
from stadkit.files.people import Columns, first_rows, people
from stadkit.files.rows import Layouts, line_numbers, read_rows
from stadkit.instances import Instances
from stadkit.labels import Labels

_NONE = -1  # the action and class of an empty field
_SIDES = ("x1", "y1", "x2", "y2")


def read_claims(path: str | Path, labels: Labels, *, truth: bool) -> tuple[Instances, Faults]:
    """The rows of a file of truth or detections, and what was wrong with them.

    Found rows without a score have 1, and label -1 where the labels lack their action. A person
    of the truth who does nothing that has a label is one row with label -1. Boxes in pixels, and
    found boxes without area, are kept.
    Raises AnnotationError for CSV that is broken, and for a true box that is none.
    """
    path = Path(path)
    layouts = _layouts(ava_csv.TRUTH if truth else ava_csv.FOUND, labels)
    rows = cast(Columns, read_rows(path, layouts))
    faults = _faults(path, rows, truth)
    if truth:
        return _claims(rows, (rows["action"] >= 0) | _idle(rows, labels), labels), faults
    x1, y1, x2, y2 = (rows[side] for side in _SIDES)
    kept = _finite(rows) & (x1 <= x2) & (y1 <= y2)
    return _claims(rows, kept, labels), faults


def read_claims_of(
    paths: Sequence[str | Path], labels: Labels, *, truth: bool
) -> tuple[Instances, list[Faults]]:
    """The rows of several files after each other; a folder stands for its CSV files, by name.

    Raises AnnotationError as `read_claims` does, and for a folder without CSV files.
    """
    read = [read_claims(file, labels, truth=truth) for path in paths for file in csv_files(path)]
    claims = Instances.join([each for each, _ in read], labels.names)
    return claims, [faults for _, faults in read]


def csv_files(path: str | Path) -> list[Path]:
    """The CSV files of a folder, by name; a file stands for itself.

    Raises AnnotationError for a folder without one.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.name.endswith((".csv", ".csv.gz")))
    if not files:
        raise AnnotationError(f"{path}: holds no .csv or .csv.gz file; give a folder that does")
    return files


def _layouts(layouts: Layouts, labels: Labels) -> Layouts:
    classes = {_NONE: _NONE} | {number: c for c, number in enumerate(labels.ids)}
    return {
        width: tuple(_lenient(column, classes) for column in layout)
        for width, layout in layouts.items()
    }


def _lenient(column: Column, classes: dict[int, int]) -> Column:
    """The column, but numbers may be NaN, infinite and of any size, and actions are classes.

    An action that `classes` lack is -2 - its id.
    """
    if column.floats:
        return replace(column, parse=any_number, free=True)
    if column.name != "action":
        return column

    def parse(field: str) -> int:
        number: int = column.parse(field)
        return classes.get(number, -2 - number)

    return replace(column, parse=parse)


def _idle(rows: Columns, labels: Labels) -> Rows:
    """The first row of each person who does nothing that has a label."""
    label = rows["action"]
    idle = np.zeros(len(label), bool)
    if (label < 0).any():
        box = np.column_stack([rows[side] for side in _SIDES]).astype(np.float32)
        deed = np.where(label < _NONE, len(labels) - label, label)
        person = people({**rows, "box": box + np.float32(0), "action": deed})  # -0 becomes 0
        busy = np.zeros(person.max() + 1, bool)
        busy[person[label >= 0]] = True
        idle[first_rows(person)[~busy]] = True
    return idle


def _claims(rows: Columns, kept: Rows, labels: Labels) -> Instances:
    # Mostly all rows stay, and then a copy of a large table is spared.
    row: Any = slice(None) if kept.all() else kept
    return Instances(
        videos=tuple(rows["video texts"]),
        video=rows["video"][row].astype(np.int32, copy=False),
        time=rows["time"][row],
        box=np.column_stack([rows[side][row] for side in _SIDES]),
        label=np.maximum(rows["action"][row].astype(np.int32), _NONE),
        score=rows["score"][row] if "score" in rows else np.ones(len(kept))[row],
        classes=labels.names,
    )


def _faults(path: Path, rows: Columns, truth: bool) -> Faults:
    """What is wrong in the file; raises AnnotationError for a true box that is none."""
    wrong = {kind: np.flatnonzero(mask) for kind, mask in _wrong(rows).items() if mask.any()}
    if truth:
        wrong.pop("no area", None)  # it counts as any other
    lines = _lines(path, wrong)
    for kind in TRUE_BOX if truth else ():
        if kind in wrong:
            more = f" ({len(wrong[kind]):,} rows)" if len(wrong[kind]) > 1 else ""
            raise AnnotationError(f"{path}:{lines[kind][0]}: {TRUE_BOX[kind]}{more}")
    unknown = rows["action"][wrong.get("unknown label", np.zeros(0, np.intp))]
    return Faults(
        path,
        {kind: (len(at), lines[kind]) for kind, at in wrong.items()},
        tuple(dict.fromkeys((-2 - unknown).tolist()))[:SOME],
    )


def _wrong(rows: Columns) -> dict[str, Rows]:
    """The rows of each kind of fault."""
    boxes = wrong_boxes([rows[side] for side in _SIDES], rows.get("score"))
    return {"unknown label": rows["action"] < _NONE, **boxes}


def _finite(rows: Columns) -> Rows:
    columns = [np.isfinite(rows[name]) for name in (*_SIDES, "score") if name in rows]
    return functools.reduce(np.logical_and, columns)


def _lines(path: Path, wrong: dict[str, NDArray[np.intp]]) -> dict[str, tuple[int, ...]]:
    """The first lines of each kind; the file is read again where there are any."""
    first = {kind: at[:SOME] for kind, at in wrong.items()}
    if not first:
        return {}
    lines = line_numbers(path, np.concatenate(list(first.values())))
    parts = np.split(lines, np.cumsum([len(at) for at in first.values()])[:-1])
    return {kind: tuple(part.tolist()) for kind, part in zip(first, parts, strict=True)}
