"""AVA's CSV as evaluators read it: rows keep their order, and faults are counted, not fatal.

The format is that of `ava_csv`. Rows that evaluators skip are skipped and counted here: actions
missing from the labels, whose boxes are kept as people, and found boxes that are inverted or
not finite. In truth such a box is an error. Malformed CSV is always an error.
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
from stadkit.files.faults import INVALID_TRUTH_BOX, MAX_EXAMPLES, Faults, Rows, wrong_boxes
from stadkit.files.fields import Column, any_number
from stadkit.files.people import Columns, first_rows, people
from stadkit.files.rows import Layouts, line_numbers, read_rows
from stadkit.instances import Instances
from stadkit.labels import Labels

_NONE = -1  # the action and class of an empty field
_SIDES = ("x1", "y1", "x2", "y2")


def read_instances(path: str | Path, labels: Labels, *, truth: bool) -> tuple[Instances, Faults]:
    """Read the rows of a file of truth or detections, and their faults.

    Found rows without a score get 1; actions missing from the labels get label -1. A truth person
    without any labelled action is one row with label -1. Boxes in pixels, and found boxes without
    area, are kept.
    Raises AnnotationError for malformed CSV, and for an invalid truth box.
    """
    path = Path(path)
    layouts = _layouts(ava_csv.TRUTH if truth else ava_csv.FOUND, labels)
    rows = cast(Columns, read_rows(path, layouts))
    faults = _faults(path, rows, truth)
    if truth:
        return _instances(rows, (rows["action"] >= 0) | _idle(rows, labels), labels), faults
    x1, y1, x2, y2 = (rows[side] for side in _SIDES)
    kept = _finite(rows) & (x1 <= x2) & (y1 <= y2)
    return _instances(rows, kept, labels), faults


def read_instances_of(
    paths: Sequence[str | Path], labels: Labels, *, truth: bool
) -> tuple[Instances, list[Faults]]:
    """Concatenate the rows of several files; a folder means its CSV files, sorted by name.

    Raises AnnotationError as `read_instances` does, and for a folder without CSV files.
    """
    read = [read_instances(file, labels, truth=truth) for path in paths for file in csv_files(path)]
    instances = Instances.join([each for each, _ in read], labels.names)
    return instances, [faults for _, faults in read]


def csv_files(path: str | Path) -> list[Path]:
    """Return the CSV files of a folder, sorted by name; a file is returned as is.

    Raises AnnotationError for a folder without CSV files.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.name.endswith((".csv", ".csv.gz")))
    if not files:
        raise AnnotationError(f"{path}: contains no .csv or .csv.gz file; check the path")
    return files


def _layouts(layouts: Layouts, labels: Labels) -> Layouts:
    classes = {_NONE: _NONE} | {number: c for c, number in enumerate(labels.ids)}
    return {
        width: tuple(_lenient(column, classes) for column in layout)
        for width, layout in layouts.items()
    }


def _lenient(column: Column, classes: dict[int, int]) -> Column:
    """Relax a column: allow any number, NaN and infinity, and map actions to classes.

    An action missing from `classes` becomes -2 - its id.
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
    """Mark the first row of each person without any labelled action."""
    label = rows["action"]
    idle = np.zeros(len(label), bool)
    if (label < 0).any():
        box = np.column_stack([rows[side] for side in _SIDES]).astype(np.float32)
        action = np.where(label < _NONE, len(labels) - label, label)
        person = people({**rows, "box": box + np.float32(0), "action": action})  # -0 becomes 0
        active = np.zeros(person.max() + 1, bool)
        active[person[label >= 0]] = True
        idle[first_rows(person)[~active]] = True
    return idle


def _instances(rows: Columns, kept: Rows, labels: Labels) -> Instances:
    # Usually all rows are kept; this avoids copying a large table.
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
    """Collect the faults of a file; raises AnnotationError for an invalid truth box."""
    wrong = {kind: np.flatnonzero(mask) for kind, mask in _wrong(rows).items() if mask.any()}
    if truth:
        wrong.pop("no area", None)  # counts like any other box
    lines = _lines(path, wrong)
    for kind in INVALID_TRUTH_BOX if truth else ():
        if kind in wrong:
            more = f" ({len(wrong[kind]):,} rows)" if len(wrong[kind]) > 1 else ""
            raise AnnotationError(f"{path}:{lines[kind][0]}: {INVALID_TRUTH_BOX[kind]}{more}")
    unknown = rows["action"][wrong.get("unknown label", np.zeros(0, np.intp))]
    return Faults(
        path,
        {kind: (len(at), lines[kind]) for kind, at in wrong.items()},
        tuple(dict.fromkeys((-2 - unknown).tolist()))[:MAX_EXAMPLES],
    )


def _wrong(rows: Columns) -> dict[str, Rows]:
    """Mark the rows of each kind of fault."""
    boxes = wrong_boxes([rows[side] for side in _SIDES], rows.get("score"))
    return {"unknown label": rows["action"] < _NONE, **boxes}


def _finite(rows: Columns) -> Rows:
    columns = [np.isfinite(rows[name]) for name in (*_SIDES, "score") if name in rows]
    return functools.reduce(np.logical_and, columns)


def _lines(path: Path, wrong: dict[str, NDArray[np.intp]]) -> dict[str, tuple[int, ...]]:
    """Return the first line numbers of each kind; rereads the file if there are faults."""
    first = {kind: at[:MAX_EXAMPLES] for kind, at in wrong.items()}
    if not first:
        return {}
    lines = line_numbers(path, np.concatenate(list(first.values())))
    parts = np.split(lines, np.cumsum([len(at) for at in first.values()])[:-1])
    return {kind: tuple(part.tolist()) for kind, part in zip(first, parts, strict=True)}
