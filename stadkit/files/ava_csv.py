"""AVA's CSV: truth, detections, excluded keyframes, person proposals, and pseudo-label sources.

No header. A row is video, time (seconds, printed 0902), x1, y1, x2, y2 (fractions of the
frame), action id, and the person id (truth) or the score (detections). Linked detections have
a ninth column, the track, which is our extension; other evaluators expect eight. Rows that share
video, time (to a millisecond), box and person id or track become one row of the table. A repeated
action of a person makes a second person with the same box: evaluators count both, so nothing is
lost. People are in order of first appearance.

Rows with an action id missing from the labels are skipped, as by AVA's evaluators; in truth the
person is kept. A byte-order mark, CRLF, blank lines, quotes and gzip are supported. Ids are kept
byte for byte, even '=cmd()': open untrusted files as text in a spreadsheet.

A sources file (`write_sources`) has the rows of a dense truth file with three more fields: "true"
or "pseudo", the time (seconds) of the labelled keyframe that a pseudo label comes from, and its
assignment cost; the latter two are empty where undefined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, Keyframes, milliseconds
from stadkit.errors import AnnotationError, StadkitError
from stadkit.files.fields import (
    Column,
    label,
    label_or_none,
    number,
    score,
    seconds,
    text,
    track,
)
from stadkit.files.people import Columns, first_rows, people, same_box
from stadkit.files.rows import Layouts, quoted, read_rows, write_text
from stadkit.labels import Labels

_FRAME = (Column("video", text), Column("time", seconds))
_BOX = tuple(Column(side, number, floats=True) for side in ("x1", "y1", "x2", "y2"))
_ACTION = Column("action", label)
_ACTION_OR_NONE = Column("action", label_or_none)
_PERSON = Column("person", track)
_SCORE = Column("score", score, floats=True, low=0, high=1)
# The allowed columns of each kind of file, by column count.
TRUTH = {7: (*_FRAME, *_BOX, _ACTION_OR_NONE), 8: (*_FRAME, *_BOX, _ACTION_OR_NONE, _PERSON)}
FOUND = {
    7: (*_FRAME, *_BOX, _ACTION),
    8: (*_FRAME, *_BOX, _ACTION, _SCORE),
    9: (*_FRAME, *_BOX, _ACTION, _SCORE, _PERSON),  # by `write_found` with tracks
}
PROPOSALS = {
    6: (*_FRAME, *_BOX),
    7: (*_FRAME, *_BOX, _SCORE),
    8: (*_FRAME, *_BOX, _ACTION_OR_NONE, _SCORE),
}
KEYFRAMES = {2: _FRAME}
Kept = NDArray[np.bool_]  # [n, c]  classes of each person to write
Lines = Callable[[Detections, Kept, Labels], str]
_BLOCK_SIZE = 5_000  # people written at once: a few MB of text


def read_truth(path: str | Path, labels: Labels) -> Detections:
    """Read truth: action 1 or 0, person 1, track the person id, -1 where the file has none.

    A row with an empty action is a person without any. Person ids are optional.
    Raises AnnotationError: file, line, column, reason.
    """
    path = Path(path)
    rows = _read(path, TRUTH)
    rows.setdefault("person", np.full(len(rows["time"]), -1, np.int64))
    known = _classes_of(path, rows["action"], labels)
    person = people(rows)
    first = first_rows(person)
    action = np.zeros((len(first), len(labels)), np.float32)
    action[person[known >= 0], known[known >= 0]] = 1
    return _table(rows, first, action, np.ones(len(first), np.float32), labels)


def read_found(path: str | Path, labels: Labels) -> Detections:
    """Read detections: NaN where a class has no row, person NaN (not in the format).

    Tracks are from the ninth column, else -1. Without scores (seven columns), every score is 1,
    as in AVA's evaluator.
    Raises AnnotationError: file, line, column, reason.
    """
    path = Path(path)
    rows = _read(path, FOUND)
    rows.setdefault("score", np.ones(len(rows["time"]), np.float64))
    known = _classes_of(path, rows["action"], labels)
    if (known < 0).any():
        rows = {k: v[known >= 0] if isinstance(v, np.ndarray) else v for k, v in rows.items()}
        known = known[known >= 0]
    person = people(rows)
    first = first_rows(person)
    action = np.full((len(first), len(labels)), np.nan, np.float32)
    action[person, known] = rows["score"]
    return _table(rows, first, action, np.full(len(first), np.nan, np.float32), labels)


def read_keyframes(path: str | Path) -> Keyframes:
    """Read keyframes listed as video, time, such as AVA's excluded timestamps."""
    rows = cast(Columns, read_rows(Path(path), KEYFRAMES))
    video = np.array(rows["video texts"], np.str_)[rows["video"]]
    return Keyframes(video, rows["time"])


def read_proposals(path: str | Path) -> Detections:
    """Read person boxes: video, time, x1, y1, x2, y2, then an optional score (`person`, default 1).

    PySlowFast's eight columns, with an action before the score, are also supported: the action is
    ignored, and a box repeated for another action is kept once.
    """
    rows = _read(Path(path), PROPOSALS)
    rows.setdefault("score", np.ones(len(rows["time"]), np.float64))
    first = first_rows(same_box(rows))
    person = rows["score"][first].astype(np.float32)
    return _table(rows, first, np.zeros((len(first), 0), np.float32), person, Labels((), ()))


def write_truth(
    table: Detections, labels: Labels, path: str | Path, more: Sequence[str] | None = None
) -> None:
    """Write truth, one row per action that is 1; a person without any gets one with empty action.

    `more` [n] is appended to each person's rows: fields with leading commas, not valid in AVA CSV.
    Raises ValueError when the table's classes differ from the labels' names, or an action is
    neither 0 nor 1; StadkitError for a video name that CSV rows cannot hold.
    """
    _check_writable(table, labels, path)
    if not np.isin(table.action, (0, 1)).all():
        raise ValueError("Detections.action of truth must be 0 or 1")
    lines = _true_lines(iter(repeat("") if more is None else more))
    write_text(Path(path), _blocks(table, table.action == 1, labels, lines))


def write_found(
    table: Detections,
    labels: Labels,
    path: str | Path,
    min_action: float = 0.0,
    *,
    tracks: bool = False,
) -> None:
    """Write detections, one row per class scored `min_action` or more.

    Boxes and scores round-trip as float32, times to a millisecond. Person scores are dropped, as
    are tracks by default. `tracks` adds a ninth column, which other evaluators do not accept.
    Raises ValueError when the table's classes differ from the labels' names; StadkitError for a
    video name that CSV rows cannot hold.
    """
    _check_writable(table, labels, path)
    lines = _tracked_lines if tracks else _found_lines
    write_text(Path(path), _blocks(table, table.action >= min_action, labels, lines))


def found_text(table: Detections, labels: Labels, min_action: float = 0.0) -> str:
    """Return the rows that `write_found` writes, to append to a file."""
    _check_writable(table, labels, "")
    return "".join(_blocks(table, table.action >= min_action, labels, _found_lines))


def _read(path: Path, layouts: Layouts) -> Columns:
    """Read the columns of a file of boxes, with the four sides as "box" float32 [n, 4]."""
    rows = cast(Columns, read_rows(path, layouts))
    sides = [rows.pop(side.name) for side in _BOX]
    rows["box"] = np.stack(sides, 1).astype(np.float32) + np.float32(0)  # -0 becomes 0
    largest = rows["box"].max(1) if len(rows["box"]) else np.zeros(1)
    if np.median(largest) > 2:
        raise AnnotationError(
            f"{path}: boxes reach {largest.max():g} and look like pixels; "
            "divide x by the frame width and y by the frame height"
        )
    return rows


def _classes_of(path: Path, action: NDArray[np.int64], labels: Labels) -> NDArray[np.intp]:
    """Map action ids to classes [n]; -1 for ids missing from the labels."""
    ids = np.array(labels.ids, np.int64)
    if not len(ids):
        return np.full(len(action), -1, np.intp)
    order = np.argsort(ids)
    at = order[np.searchsorted(ids, action, sorter=order).clip(max=len(ids) - 1)]
    known = np.where(ids[at] == action, at, -1)
    listed = action[action >= 0]
    if len(listed) and (known < 0).all():
        raise AnnotationError(
            f"{path}: its action ids ({_first_ids(listed)}) are not in the "
            f"label list ({_first_ids(ids)}); pass the list it was made with"
        )
    return np.asarray(known, np.intp)


def _first_ids(ids: NDArray[np.int64]) -> str:
    unique = np.unique(ids)
    return ", ".join(map(str, unique[:5])) + (", ..." if len(unique) > 5 else "")


def _table(
    rows: Columns,
    first: NDArray[np.intp],
    action: NDArray[np.float32],
    person: NDArray[np.float32],
    labels: Labels,
) -> Detections:
    """Build the table of people from their first rows."""
    tracks = rows["person"][first] if "person" in rows else np.full(len(first), -1)
    return Detections(
        video=np.array(rows["video texts"], np.str_)[rows["video"][first]],
        time=rows["time"][first],
        box=rows["box"][first],
        person=person,
        action=action,
        track=tracks.astype(np.int32),
        classes=labels.names,
    )


def _check_writable(table: Detections, labels: Labels, path: str | Path) -> None:
    if table.classes != labels.names:
        raise ValueError(f"Detections.classes {table.classes} differ from labels {labels.names}")
    for video in dict.fromkeys(table.video.tolist()):
        try:
            text(video)
        except ValueError as error:
            raise StadkitError(f"{path}: a video name {error}; rename the video") from error


def _blocks(table: Detections, kept: Kept, labels: Labels, lines: Lines) -> Iterator[str]:
    """Yield the file's text block by block."""
    for start in range(0, len(table), _BLOCK_SIZE):
        part = slice(start, start + _BLOCK_SIZE)
        yield lines(table.select(np.arange(len(table))[part]), kept[part], labels)


def _found_lines(table: Detections, kept: Kept, labels: Labels) -> str:
    return _scored_lines(table, kept, labels, [""] * len(table))


def _tracked_lines(table: Detections, kept: Kept, labels: Labels) -> str:
    return _scored_lines(table, kept, labels, [f",{track}" for track in table.track.tolist()])


def _scored_lines(table: Detections, kept: Kept, labels: Labels, ends: list[str]) -> str:
    people, ids = _people(table), [f"{label}," for label in labels.ids]
    row, column = np.nonzero(kept)
    scores = map(str, table.action[row, column])
    rows = zip(row.tolist(), column.tolist(), scores, strict=True)
    return "".join([f"{people[r]}{ids[c]}{score}{ends[r]}\n" for r, c, score in rows])


def _true_lines(more: Iterator[str]) -> Lines:
    """Make a line writer that consumes `more` in order, person by person."""

    def lines(table: Detections, kept: Kept, labels: Labels) -> str:
        # A person without any class gets a row with the last, empty id.
        kept = np.column_stack([kept, ~kept.any(1)])
        row, column = np.nonzero(kept)
        people, ids = _people(table), [*(f"{label}," for label in labels.ids), ","]
        ends = [f"{track}{next(more)}\n" for track in table.track.tolist()]
        rows = zip(row.tolist(), column.tolist(), strict=True)
        return "".join([f"{people[r]}{ids[c]}{ends[r]}" for r, c in rows])

    return lines


def _people(table: Detections) -> list[str]:
    """Format the first six fields of each person's rows, with a trailing comma."""
    return [
        f"{quoted(video)},{stamp(time)},{','.join(map(str, box))},"
        for video, time, box in zip(
            table.video.tolist(), milliseconds(table.time).tolist(), table.box, strict=True
        )
    ]


def stamp(ms: int) -> str:
    """Format milliseconds as AVA prints seconds: 902000 -> 0902; 902040 -> 0902.04."""
    sign, whole_seconds, rest = "-" * (ms < 0), abs(ms) // 1000, abs(ms) % 1000
    return f"{sign}{whole_seconds:04d}" + (f".{rest:03d}".rstrip("0") if rest else "")


def write_sources(
    table: Detections,
    labels: Labels,
    path: str | Path,
    pseudo: NDArray[np.bool_],
    source: NDArray[np.float64],
    cost: NDArray[np.float64],
) -> None:
    """Write the rows of `write_truth`, in the same order, with their sources.

    pseudo [n], source [n] in seconds, cost [n]; NaN: undefined. Raises as `write_truth` does.
    """
    kinds = ["pseudo" if is_pseudo else "true" for is_pseudo in pseudo.tolist()]
    columns = zip(kinds, _stamps(source), cost.tolist(), strict=True)
    more = [
        f",{kind},{at},{'' if price != price else f'{price:.6g}'}" for kind, at, price in columns
    ]
    write_truth(table, labels, path, more)


def _stamps(time: NDArray[np.float64]) -> list[str]:
    """Format times [n] as AVA prints them; NaN becomes empty."""
    whole = milliseconds(np.nan_to_num(time)).tolist()
    return ["" if none else stamp(ms) for none, ms in zip(np.isnan(time), whole, strict=True)]
