"""Tubes as JSON: stadkit's own format, for truth and detections.

{"videos": {id: [tube, ...]}}; a tube is {"track": person or -1, "class_id", "class", "score",
"start", "end", "times": [k], "boxes": [k, 4] x1 y1 x2 y2, "scores": [k], "interpolated": [k]}.
Seconds to a millisecond, boxes in fractions of the frame. Required are a class by id or name,
times and boxes; the rest is optional. A processed video may have no tubes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from stadkit.detections import milliseconds
from stadkit.errors import AnnotationError
from stadkit.files.rows import read_bytes, write_text
from stadkit.labels import Labels
from stadkit.tubes import Tubes

DIGITS = 6  # decimals of boxes, significant digits of scores

Record = dict[str, Any]


def read_tubes_json(path: str | Path, labels: Labels | None = None) -> Tubes:
    """Read the tubes of a .json or .json.gz, in file order.

    The classes are those of `labels`, else the file's own, as `labels_of` returns them.
    Raises AnnotationError: file, video, tube, reason.
    """
    path = Path(path)
    records = list(_records(path))
    classes = labels or _labels(path, records)
    numbers = {number: label for label, number in enumerate(classes.ids)}
    names = {name: label for label, name in enumerate(classes.names)}
    tubes = [
        _tube(where, video, tube, _label(where, tube, numbers, names, classes), classes)
        for where, video, tube in records
    ]
    joined = Tubes.join(tubes, classes.names)
    if len(joined) and np.median(joined.box.max(1)) > 2:
        raise AnnotationError(
            f"{path}: boxes reach {joined.box.max():g} and look like pixels; "
            "divide x by the frame width and y by the frame height"
        )
    return joined


def labels_of(path: str | Path) -> Labels:
    """Return the classes of a file's tubes, sorted by id; AnnotationError if they conflict."""
    path = Path(path)
    return _labels(path, list(_records(path)))


def write_tubes_json(
    tubes: Tubes, labels: Labels, path: str | Path, videos: Sequence[str] = ()
) -> None:
    """Write the tubes by video, with those of `videos` first, even if empty.

    The write is atomic. Raises ValueError when the classes differ from the labels' names, or two
    times of a tube fall into the same millisecond.
    """
    if tubes.classes != labels.names:
        raise ValueError(f"Tubes.classes {tubes.classes} differ from labels {labels.names}")
    ms = milliseconds(tubes.time)
    if (np.diff(ms) == 0)[np.diff(tubes.owner) == 0].any():
        raise ValueError("a tube has two boxes in one millisecond")
    write_text(Path(path), _blocks(tubes, labels, videos))


def _blocks(tubes: Tubes, labels: Labels, videos: Sequence[str]) -> Iterator[str]:
    """Yield the file's text, video by video."""
    rows: dict[str, list[int]] = {video: [] for video in videos}
    for row, video in enumerate(tubes.video.tolist()):
        rows.setdefault(video, []).append(row)
    yield '{"videos": {'
    for number, (video, video_rows) in enumerate(rows.items()):
        part = json.dumps([_record(tubes, row, labels) for row in video_rows], ensure_ascii=False)
        yield f"{', ' * (number > 0)}{json.dumps(video, ensure_ascii=False)}: {part}"
    yield "}}\n"


def _record(tubes: Tubes, row: int, labels: Labels) -> Record:
    part = slice(tubes.start[row], tubes.start[row + 1])
    times = (milliseconds(tubes.time[part]) / 1000).tolist()
    label = int(tubes.label[row])
    return {
        "track": int(tubes.track[row]),
        "class_id": labels.ids[label],
        "class": labels.names[label],
        "score": _short(tubes.score[row]),
        "start": times[0],
        "end": times[-1],
        "times": times,
        "boxes": np.round(tubes.box[part], DIGITS).tolist(),
        "scores": [_short(score) for score in tubes.box_score[part]],
        "interpolated": tubes.interpolated[part].tolist(),
    }


def _short(score: float) -> float:
    return float(f"{score:.{DIGITS}g}")


def _records(path: Path) -> Iterator[tuple[str, str, Record]]:
    """Yield (location, video, tube) of a file; raises AnnotationError for other content."""
    if not path.is_file():
        reason = "is not a file" if path.exists() else "does not exist"
        raise AnnotationError(f"{path}: {reason}; name a .json file of tubes")
    try:
        data = json.loads(read_bytes(path))
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}:{error.lineno}: {error.msg}; fix the JSON") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise AnnotationError(f"{path}: not a JSON file of tubes ({error})") from error
    videos = data.get("videos") if isinstance(data, dict) else None
    if not isinstance(videos, dict):
        raise AnnotationError(
            f'{path}: not a JSON file of tubes; wants {{"videos": {{id: [...]}}}}'
        )
    for video, tubes in videos.items():
        if not isinstance(tubes, list):
            raise AnnotationError(f"{path}: {video}: wants a list of tubes")
        for number, tube in enumerate(tubes):
            where = f"{path}: {video}, tube {number}"
            if not isinstance(tube, dict):
                raise AnnotationError(f"{where}: wants an object, got {str(tube)[:40]!r}")
            yield where, video, tube


def _labels(path: Path, records: list[tuple[str, str, Record]]) -> Labels:
    names: dict[int, str] = {}
    for where, _, tube in records:
        number, name = tube.get("class_id"), tube.get("class")
        if not _is_id(number) or not isinstance(name, str):
            raise AnnotationError(f'{where}: wants "class_id" and "class"; add them or --labels')
        if names.setdefault(number, name) != name:
            raise AnnotationError(
                f"{where}: class {number} is {name!r} here, {names[number]!r} in an earlier tube"
            )
    try:
        return Labels(tuple(sorted(names)), tuple(names[number] for number in sorted(names)))
    except ValueError as error:
        raise AnnotationError(f"{path}: {error}; pass --labels") from error


def _label(
    where: str, tube: Record, numbers: dict[int, int], names: dict[str, int], labels: Labels
) -> int:
    """Return the class of a tube by id, or by name if it has no id."""
    number, name = tube.get("class_id"), tube.get("class")
    if number is None and isinstance(name, str) and name in names:
        return names[name]
    if not _is_id(number) or number not in numbers:
        kind = f"class {number!r}" if number is not None else f"class {name!r}"
        raise AnnotationError(f"{where}: {kind} is not in the labels; pass its own with --labels")
    label = numbers[number]
    if name is not None and name != labels.names[label]:
        raise AnnotationError(
            f"{where}: class {number} is {name!r} here, {labels.names[label]!r} in the labels; "
            "pass its own with --labels"
        )
    return label


def _is_id(number: Any) -> TypeGuard[int]:
    # bool is a subclass of int, but true is not an id.
    return isinstance(number, int) and not isinstance(number, bool)


def _tube(where: str, video: str, tube: Record, label: int, labels: Labels) -> Tubes:
    """Convert one tube to a table."""
    if missing := [key for key in ("times", "boxes") if key not in tube]:
        raise AnnotationError(f"{where}: {missing[0]!r} is missing")
    score = tube.get("score", 1.0)
    count = len(tube["times"]) if isinstance(tube["times"], list) else 0
    try:
        return Tubes(
            video=np.array([video], np.str_),
            label=np.array([label], np.int32),
            score=np.array([score], np.float64),
            track=np.array([tube.get("track", -1)], np.int32),
            start=np.array([0, count], np.int64),
            time=np.array(tube["times"], np.float64),
            box=np.array(tube["boxes"], np.float64),
            box_score=np.array(tube.get("scores", [score] * count), np.float64),
            interpolated=np.array(tube.get("interpolated", [False] * count), np.bool_),
            classes=labels.names,
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise AnnotationError(f"{where}: {error}") from error
