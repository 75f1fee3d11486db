"""AVA's CSV: truth and detections, excluded keyframes, person proposals.

No header. A row is video, time (seconds, printed 0902), x1, y1, x2, y2 (fractions of the
frame), action id, and the person's id (truth) or the score (detections). Linked detections have
a ninth column of our own, the track; other evaluators want eight. Rows of one person are one row
of the table: those that share video, time (to a millisecond), box and person id or track.
A row that a person has already had, same action again, is another person with the same box:
evaluators count both, and so nothing is lost. People come in order of first appearance.

Rows with an action id that the labels lack are passed over, as AVA's evaluators do; in truth
the person stays. A byte-order mark, CRLF, blank lines, quotes and gzip are all read. Ids are
kept byte for byte, '=cmd()' too: open files of strangers as text in a spreadsheet.

Where each row of a densely labelled AVA CSV is from: a file of the same rows, with more fields.

After the eight fields of the truth come "true" or "pseudo", the time (seconds) of the labelled
keyframe that a pseudo label is from, and what giving it cost; both are empty where there is none.
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
# The columns that each kind of file may have, by their number.
TRUTH = {7: (*_FRAME, *_BOX, _ACTION_OR_NONE), 8: (*_FRAME, *_BOX, _ACTION_OR_NONE, _PERSON)}
FOUND = {
    7: (*_FRAME, *_BOX, _ACTION),
    8: (*_FRAME, *_BOX, _ACTION, _SCORE),
    9: (*_FRAME, *_BOX, _ACTION, _SCORE, _PERSON),  # of `write_found` with tracks
}
PROPOSALS = {
    6: (*_FRAME, *_BOX),
    7: (*_FRAME, *_BOX, _SCORE),
    8: (*_FRAME, *_BOX, _ACTION_OR_NONE, _SCORE),
}
KEYFRAMES = {2: _FRAME}
Kept = NDArray[np.bool_]  # [n, c]  which classes of which people are written
Lines = Callable[[Detections, Kept, Labels], str]
_PEOPLE_A_BLOCK = 5_000  # written at once: a few MB of text


def read_truth(path: str | Path, labels: Labels) -> Detections:
    """Truth: action 1 or 0, person 1, track the person's id, -1 where the file has none.

    A row with an empty action is a person who does none of them. Rows may lack the person's id.
    Raises AnnotationError: file, line, column, reason.
    """
    path = Path(path)
    rows = _read(path, TRUTH)
    rows.setdefault("person", np.full(len(rows["time"]), -1, np.int64))
    known = _known(path, rows["action"], labels)
    person = people(rows)
    first = first_rows(person)
    action = np.zeros((len(first), len(labels)), np.float32)
    action[person[known >= 0], known[known >= 0]] = 1
    return _table(rows, first, action, np.ones(len(first), np.float32), labels)


def read_found(path: str | Path, labels: Labels) -> Detections:
    """Detections: NaN where a class has no row, person NaN (the format has none).

    The track is the ninth column's, -1 where there is none. A file without scores, seven
    columns, has score 1 in every row, as AVA's evaluator has it.
    Raises AnnotationError: file, line, column, reason.
    """
    path = Path(path)
    rows = _read(path, FOUND)
    rows.setdefault("score", np.ones(len(rows["time"]), np.float64))
    known = _known(path, rows["action"], labels)
    if (known < 0).any():
        rows = {k: v[known >= 0] if isinstance(v, np.ndarray) else v for k, v in rows.items()}
        known = known[known >= 0]
    person = people(rows)
    first = first_rows(person)
    action = np.full((len(first), len(labels)), np.nan, np.float32)
    action[person, known] = rows["score"]
    return _table(rows, first, action, np.full(len(first), np.nan, np.float32), labels)


def read_keyframes(path: str | Path) -> Keyframes:
    """Keyframes listed as video, time; AVA's excluded timestamps are such a list."""
    rows = cast(Columns, read_rows(Path(path), KEYFRAMES))
    video = np.array(rows["video texts"], np.str_)[rows["video"]]
    return Keyframes(video, rows["time"])


def read_proposals(path: str | Path) -> Detections:
    """Person boxes: video, time, x1, y1, x2, y2, then a score as `person`, 1 where there is none.

    PySlowFast's eight columns, an action before the score, are read too; its action is passed
    over, and a box listed again for another action is taken once.
    """
    rows = _read(Path(path), PROPOSALS)
    rows.setdefault("score", np.ones(len(rows["time"]), np.float64))
    first = first_rows(same_box(rows))
    person = rows["score"][first].astype(np.float32)
    return _table(rows, first, np.zeros((len(first), 0), np.float32), person, Labels((), ()))


def write_truth(
    table: Detections, labels: Labels, path: str | Path, more: Sequence[str] | None = None
) -> None:
    """Write truth, a row an action that is 1; a person without one has a row with none.

    `more` [n] is for the end of each person's rows: fields, a comma before each; what has them is
    no AVA CSV. Raises ValueError when the table's classes are not the labels' names,
    or an action is neither 0 nor 1; StadkitError for a video whose name no row can hold.
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
    """Write detections, a row a class that is scored `min_action` or more.

    Boxes and scores are written so that the same float32 is read back, times to a millisecond.
    What the format cannot hold, person scores and, unless asked for, tracks, is left out. With
    `tracks` rows end with a ninth column, which evaluators other than stadkit's do not take.
    Raises ValueError when the table's classes are not the labels' names; StadkitError for a
    video whose name no row can hold.
    """
    _check_writable(table, labels, path)
    lines = _tracked_lines if tracks else _found_lines
    write_text(Path(path), _blocks(table, table.action >= min_action, labels, lines))


def found_text(table: Detections, labels: Labels, min_action: float = 0.0) -> str:
    """The rows that `write_found` writes of a table, for a file that grows."""
    _check_writable(table, labels, "")
    return "".join(_blocks(table, table.action >= min_action, labels, _found_lines))


def _read(path: Path, layouts: Layouts) -> Columns:
    """The columns of a file of boxes, the four sides as "box" float32 [n, 4]."""
    rows = cast(Columns, read_rows(path, layouts))
    sides = [rows.pop(side.name) for side in _BOX]
    rows["box"] = np.stack(sides, 1).astype(np.float32) + np.float32(0)  # -0 becomes 0
    largest = rows["box"].max(1) if len(rows["box"]) else np.zeros(1)
    if np.median(largest) > 2:
        raise AnnotationError(
            f"{path}: boxes reach {largest.max():g}, as pixels do; "
            "divide x by the width and y by the height of the frame"
        )
    return rows


def _known(path: Path, action: NDArray[np.int64], labels: Labels) -> NDArray[np.intp]:
    """The class [n] of each action id, -1 where the labels lack it."""
    ids = np.array(labels.ids, np.int64)
    if not len(ids):
        return np.full(len(action), -1, np.intp)
    order = np.argsort(ids)
    at = order[np.searchsorted(ids, action, sorter=order).clip(max=len(ids) - 1)]
    known = np.where(ids[at] == action, at, -1)
    listed = action[action >= 0]
    if len(listed) and (known < 0).all():
        raise AnnotationError(
            f"{path}: none of its action ids ({_some(listed)}) is a label's ({_some(ids)}); "
            "give the labels it was made with"
        )
    return np.asarray(known, np.intp)


def _some(ids: NDArray[np.int64]) -> str:
    unique = np.unique(ids)
    return ", ".join(map(str, unique[:5])) + (", ..." if len(unique) > 5 else "")


def _table(
    rows: Columns,
    first: NDArray[np.intp],
    action: NDArray[np.float32],
    person: NDArray[np.float32],
    labels: Labels,
) -> Detections:
    """The table of the people whose first rows these are."""
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
        raise ValueError(f"Detections.classes {table.classes} are not the labels' {labels.names}")
    for video in dict.fromkeys(table.video.tolist()):
        try:
            text(video)
        except ValueError as error:
            raise StadkitError(f"{path}: a video's name {error}; rename the video") from error


def _blocks(table: Detections, kept: Kept, labels: Labels, lines: Lines) -> Iterator[str]:
    """The file's text, some thousand people at a time."""
    for start in range(0, len(table), _PEOPLE_A_BLOCK):
        part = slice(start, start + _PEOPLE_A_BLOCK)
        yield lines(table.select(np.arange(len(table))[part]), kept[part], labels)


def _found_lines(table: Detections, kept: Kept, labels: Labels) -> str:
    return _scored_lines(table, kept, labels, [""] * len(table))


def _tracked_lines(table: Detections, kept: Kept, labels: Labels) -> str:
    return _scored_lines(table, kept, labels, [f",{track}" for track in table.track.tolist()])


def _scored_lines(table: Detections, kept: Kept, labels: Labels, ends: list[str]) -> str:
    people, ids = _people(table), [f"{label}," for label in labels.ids]
    row, column = np.nonzero(kept)
    scores = map(str, table.action[row, column])
    deeds = zip(row.tolist(), column.tolist(), scores, strict=True)
    return "".join([f"{people[r]}{ids[c]}{score}{ends[r]}\n" for r, c, score in deeds])


def _true_lines(more: Iterator[str]) -> Lines:
    """Blocks of people come in order, and so does what is after their rows."""

    def lines(table: Detections, kept: Kept, labels: Labels) -> str:
        # A person who does nothing that has a label gets a row with the last id, the empty one.
        kept = np.column_stack([kept, ~kept.any(1)])
        row, column = np.nonzero(kept)
        people, ids = _people(table), [*(f"{label}," for label in labels.ids), ","]
        ends = [f"{track}{next(more)}\n" for track in table.track.tolist()]
        done = zip(row.tolist(), column.tolist(), strict=True)
        return "".join([f"{people[r]}{ids[c]}{ends[r]}" for r, c in done])

    return lines


def _people(table: Detections) -> list[str]:
    """The first six fields of each person's rows, and the comma after."""
    return [
        f"{quoted(video)},{stamp(time)},{','.join(map(str, box))},"
        for video, time, box in zip(
            table.video.tolist(), milliseconds(table.time).tolist(), table.box, strict=True
        )
    ]


def stamp(ms: int) -> str:
    """Milliseconds as AVA prints seconds: 902000 -> 0902; 902040 -> 0902.04."""
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
    """Write the rows that `write_truth` writes of this table, in that order, with their sources.

    pseudo [n], source [n] in seconds, cost [n]; NaN: there is none. Raises as `write_truth` does.
    """
    kinds = ["pseudo" if made else "true" for made in pseudo.tolist()]
    columns = zip(kinds, _stamps(source), cost.tolist(), strict=True)
    more = [
        f",{kind},{at},{'' if price != price else f'{price:.6g}'}" for kind, at, price in columns
    ]
    write_truth(table, labels, path, more)


def _stamps(time: NDArray[np.float64]) -> list[str]:
    """Times [n] as AVA prints them, NaN as nothing."""
    whole = milliseconds(np.nan_to_num(time)).tolist()
    return ["" if none else stamp(ms) for none, ms in zip(np.isnan(time), whole, strict=True)]
