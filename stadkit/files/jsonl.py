"""Keyframes as JSON lines, including empty ones; `detect` writes them next to its AVA CSV.

They hold what CSV cannot: empty keyframes, person scores, and people without an action.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stadkit.detections import Detections, Keyframes, milliseconds, rows_by_keyframe
from stadkit.errors import AnnotationError
from stadkit.files.rows import read_bytes, write_text
from stadkit.labels import Labels


def keyframe_line(
    video: str, time: float, table: Detections, labels: Labels, min_action: float = 0.0
) -> dict[str, Any]:
    """Return {"video", "time", "people"} of one keyframe, with actions scored `min_action` or more.

    A person is {"box", "score", "track", "actions": [{"id", "name", "score"}, ...]}, actions
    best first; an unknown score is null.
    """
    return {
        "video": video,
        "time": round(time, 3),
        "people": [_person(table, row, labels, min_action) for row in range(len(table))],
    }


def _person(table: Detections, row: int, labels: Labels, min_action: float) -> dict[str, Any]:
    scores = table.action[row]
    order = np.argsort(-scores, kind="stable")  # NaN comes last
    score = float(table.person[row])
    return {
        "box": [round(float(side), 5) for side in table.box[row]],
        "score": None if np.isnan(score) else round(score, 5),
        "track": int(table.track[row]),
        "actions": [
            {"id": labels.ids[i], "name": labels.names[i], "score": round(float(scores[i]), 5)}
            for i in order
            if scores[i] >= min_action
        ],
    }


def write_jsonl(
    table: Detections, keyframes: Keyframes, labels: Labels, path: Path, min_action: float = 0.0
) -> None:
    """Write one line per keyframe, in order; `table.classes` must equal `labels.names`."""
    lines = _lines(table, keyframes, labels, min_action)
    write_text(path, (json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _lines(
    table: Detections, keyframes: Keyframes, labels: Labels, min_action: float
) -> Iterator[dict[str, Any]]:
    rows_of_keyframe = rows_by_keyframe(table)
    times = milliseconds(keyframes.time)
    for video, ms, time in zip(keyframes.video, times, keyframes.time, strict=True):
        rows = np.array(rows_of_keyframe.get((str(video), int(ms)), []), int)
        yield keyframe_line(str(video), float(time), table.select(rows), labels, min_action)


def read_jsonl(path: str | Path, labels: Labels) -> tuple[Detections, Keyframes]:
    """Read the people of a .jsonl or .jsonl.gz in file order, and all of its keyframes.

    Unscored actions and null person scores become NaN; actions missing from the labels are
    skipped. Raises AnnotationError: file, line, reason; also when no action is in the labels, or
    an id has another name there.
    """
    path = Path(path)
    names = dict(zip(labels.ids, labels.names, strict=True))
    rows = _Rows({number: c for c, number in enumerate(labels.ids)}, names)
    for number, line in _objects(path):
        try:
            rows.add(line)
        except (KeyError, ValueError) as error:
            raise AnnotationError(f"{path}:{number}: {_reason(error)}") from error
    if rows.unknown and not rows.action:
        raise AnnotationError(
            f"{path}: its action ids ({', '.join(map(str, rows.unknown))}) are not in the label "
            "list; pass the list it was made with by --labels"
        )
    table = rows.table(labels.names)
    _check_fractions(path, table)
    return table, rows.keyframes()


def _check_fractions(path: Path, table: Detections) -> None:
    """Raise AnnotationError for boxes in pixels; a few large ones may be mere faults."""
    if len(table) and np.median(table.box.max(1)) > 2:
        raise AnnotationError(
            f"{path}: boxes reach {table.box.max():g} and look like pixels; "
            "divide x by the frame width and y by the frame height"
        )


def read_jsonl_keyframes(path: str | Path) -> Keyframes:
    """Read only the keyframes; raises AnnotationError as `read_jsonl` does."""
    path, rows = Path(path), _Rows({}, {})
    for number, line in _objects(path):
        try:
            rows.add_keyframe(line)
        except (KeyError, ValueError) as error:
            raise AnnotationError(f"{path}:{number}: {_reason(error)}") from error
    return rows.keyframes()


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) for each non-blank line."""
    for number, line in enumerate(read_bytes(path).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = error.msg if isinstance(error, json.JSONDecodeError) else "not JSON text"
            raise AnnotationError(
                f"{path}:{number}: {why}; check whether the file is truncated"
            ) from error
        if not isinstance(value, dict):
            raise AnnotationError(f"{path}:{number}: wants an object of video, time and people")
        yield number, value


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


@dataclass
class _Rows:
    """Accumulated rows; methods raise KeyError or ValueError for invalid input."""

    classes: dict[int, int]  # id -> column
    names: dict[int, str]  # id -> name
    processed: list[tuple[str, float]] = field(default_factory=list)
    keyframe: list[int] = field(default_factory=list)  # [n]  of each person
    numbers: list[tuple[float, ...]] = field(default_factory=list)  # [n]  box, score
    track: list[int] = field(default_factory=list)  # [n]
    action: list[tuple[int, int, float]] = field(default_factory=list)  # person, class, score
    unknown: dict[int, None] = field(default_factory=dict)  # first ids missing from the labels

    def add_keyframe(self, line: dict[str, Any]) -> None:
        """Add a keyframe without its people."""
        video, time = line["video"], line["time"]
        if not isinstance(video, str) or not video:
            raise ValueError(f"video is {video!r}, wants a name")
        self.processed.append((video, _number("time", time, -1e9, 1e9)))

    def add(self, line: dict[str, Any]) -> None:
        """Add a keyframe and its people."""
        self.add_keyframe(line)
        for person in _objects_of("people", line["people"]):
            row, box, score = len(self.track), person["box"], person["score"]
            if not isinstance(box, list) or len(box) != 4:
                raise ValueError(f"box is {box!r}, wants x1, y1, x2, y2")
            sides = [_number("box", side, -3e38, 3e38) for side in box]
            self.numbers.append((*sides, np.nan if score is None else _score(score)))
            self.keyframe.append(len(self.processed) - 1)
            self.track.append(_integer("track", person.get("track", -1), -1))
            for action in _objects_of("actions", person["actions"]):
                self._add_action(row, action)

    def _add_action(self, row: int, action: dict[str, Any]) -> None:
        number, score = _integer("id", action["id"], 0), _score(action["score"])
        name = action.get("name")
        if number not in self.classes:
            if len(self.unknown) < 3:
                self.unknown[number] = None
        elif name is not None and name != self.names[number]:
            raise ValueError(
                f"action {number} is {name!r} here, {self.names[number]!r} in the labels; "
                "pass its own with --labels"
            )
        else:
            self.action.append((row, self.classes[number], score))

    def table(self, classes: tuple[str, ...]) -> Detections:
        """Return all people, in order."""
        numbers = np.array(self.numbers, np.float32).reshape(-1, 5)
        keyframes = self.keyframes()
        keyframe = np.array(self.keyframe, np.intp)
        action = np.full((len(numbers), len(classes)), np.nan, np.float32)
        if self.action:
            row, column, score = zip(*self.action, strict=True)
            action[row, column] = score
        return Detections(
            video=keyframes.video[keyframe],
            time=keyframes.time[keyframe],
            box=numbers[:, :4].copy(),
            person=numbers[:, 4].copy(),
            action=action,
            track=np.array(self.track, np.int32),
            classes=classes,
        )

    def keyframes(self) -> Keyframes:
        """Return all keyframes, in order."""
        return Keyframes(
            np.array([video for video, _ in self.processed], np.str_),
            np.array([time for _, time in self.processed], np.float64),
        )


def _score(value: Any) -> float:
    return _number("score", value, 0, 1)


def _number(name: str, value: Any, low: float, high: float) -> float:
    if not _is(value, int | float) or not low <= value <= high:  # NaN fails too
        raise ValueError(f"{name} is {_short(value)}, wants a number from {low:g} to {high:g}")
    return float(value)


def _integer(name: str, value: Any, low: int) -> int:
    if not _is(value, int) or not low <= value < 2**31:
        raise ValueError(f"{name} is {_short(value)}, wants an integer >= {low}")
    number: int = value
    return number


def _objects_of(name: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is {_short(value)}, wants a list")
    for each in value:
        if not isinstance(each, dict):
            raise ValueError(f"{name} contains {_short(each)}, wants objects")
    return value


def _is(value: Any, kind: Any) -> bool:
    # bool is a subclass of int, but true is not a number.
    return isinstance(value, kind) and not isinstance(value, bool)


def _short(value: Any) -> str:
    """Format a value as JSON, truncated to 40 characters."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
