"""Tubes as JSON: stadkit's own format, of true tubes and of found ones.

{"videos": {id: [tube, ...]}}; a tube is {"track": person or -1, "class_id", "class", "score",
"start", "end", "times": [k], "boxes": [k, 4] x1 y1 x2 y2, "scores": [k], "interpolated": [k]}.
Seconds to a millisecond, boxes in fractions of the frame. A reader needs a class by id or name,
times and boxes; the rest may be missing. A video that was looked at may have no tubes.
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

DIGITS = 6  # of boxes after the point, of scores in all

Record = dict[str, Any]


def read_tubes_json(path: str | Path, labels: Labels | None = None) -> Tubes:
    """The tubes of a .json or .json.gz, in its order.

    The classes are those of `labels`, or else the file's own by id, as `labels_of` gives them.
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
            f"{path}: boxes reach {joined.box.max():g}, as pixels do; "
            "divide x by the width and y by the height of the frame"
        )
    return joined


def labels_of(path: str | Path) -> Labels:
    """The classes that a file's tubes name, by id; raises AnnotationError where they clash."""
    path = Path(path)
    return _labels(path, list(_records(path)))


def write_tubes_json(
    tubes: Tubes, labels: Labels, path: str | Path, videos: Sequence[str] = ()
) -> None:
    """Write the tubes by video, those of `videos` first, also where they have none.

    The file is whole or not there. Raises ValueError when the classes are not the labels'
    names, or two times of a tube are the same millisecond.
    """
    if tubes.classes != labels.names:
        raise ValueError(f"Tubes.classes {tubes.classes} are not the labels' {labels.names}")
    ms = milliseconds(tubes.time)
    if (np.diff(ms) == 0)[np.diff(tubes.owner) == 0].any():
        raise ValueError("a tube has two boxes in one millisecond")
    write_text(Path(path), _blocks(tubes, labels, videos))


def _blocks(tubes: Tubes, labels: Labels, videos: Sequence[str]) -> Iterator[str]:
    """The file's text, a video at a time."""
    rows: dict[str, list[int]] = {video: [] for video in videos}
    for row, video in enumerate(tubes.video.tolist()):
        rows.setdefault(video, []).append(row)
    yield '{"videos": {'
    for number, (video, own) in enumerate(rows.items()):
        part = json.dumps([_record(tubes, row, labels) for row in own], ensure_ascii=False)
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
    """(where it is, its video, a tube) of a file; raises AnnotationError where it is no such."""
    if not path.is_file():
        reason = "is not a file" if path.exists() else "does not exist"
        raise AnnotationError(f"{path}: {reason}; give a .json file of tubes")
    try:
        data = json.loads(read_bytes(path))
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}:{error.lineno}: {error.msg}; mend the JSON") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise AnnotationError(f"{path}: is not JSON of tubes ({error})") from error
    videos = data.get("videos") if isinstance(data, dict) else None
    if not isinstance(videos, dict):
        raise AnnotationError(f'{path}: is not JSON of tubes; wants {{"videos": {{id: [...]}}}}')
    for video, tubes in videos.items():
        if not isinstance(tubes, list):
            raise AnnotationError(f"{path}: {video}: wants a list of tubes")
        for number, tube in enumerate(tubes):
            where = f"{path}: {video}, tube {number}"
            if not isinstance(tube, dict):
                raise AnnotationError(f"{where}: is no tube, but {str(tube)[:40]!r}")
            yield where, video, tube


def _labels(path: Path, records: list[tuple[str, str, Record]]) -> Labels:
    names: dict[int, str] = {}
    for where, _, tube in records:
        number, name = tube.get("class_id"), tube.get("class")
        if not _is_id(number) or not isinstance(name, str):
            raise AnnotationError(f'{where}: wants "class_id" and "class", or give --labels')
        if names.setdefault(number, name) != name:
            raise AnnotationError(f"{where}: class {number} is {names[number]!r} before it")
    try:
        return Labels(tuple(sorted(names)), tuple(names[number] for number in sorted(names)))
    except ValueError as error:
        raise AnnotationError(f"{path}: {error}; give --labels") from error


def _label(
    where: str, tube: Record, numbers: dict[int, int], names: dict[str, int], labels: Labels
) -> int:
    """The class of a tube by its id, or by its name where it has no id."""
    number, name = tube.get("class_id"), tube.get("class")
    if number is None and isinstance(name, str) and name in names:
        return names[name]
    if not _is_id(number) or number not in numbers:
        kind = f"class {number!r}" if number is not None else f"class {name!r}"
        raise AnnotationError(f"{where}: the labels lack its {kind}; give its own with --labels")
    label = numbers[number]
    if name is not None and name != labels.names[label]:
        raise AnnotationError(
            f"{where}: class {number} is {name!r} here, {labels.names[label]!r} in the labels; "
            "give its own with --labels"
        )
    return label


def _is_id(number: Any) -> TypeGuard[int]:
    # JSON's true is Python's 1, and no id.
    return isinstance(number, int) and not isinstance(number, bool)


def _tube(where: str, video: str, tube: Record, label: int, labels: Labels) -> Tubes:
    """One tube as a table of its own."""
    if lacks := [key for key in ("times", "boxes") if key not in tube]:
        raise AnnotationError(f"{where}: lacks {lacks[0]!r}")
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
