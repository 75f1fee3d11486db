"""Keyframes as JSON, one a line, also the empty ones: for programs that read no AVA CSV."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stadkit.detections import Detections, Keyframes, milliseconds, rows_by_keyframe
from stadkit.files.rows import write_text
from stadkit.labels import Labels


def keyframe_line(
    video: str, time: float, table: Detections, labels: Labels, min_action: float = 0.0
) -> dict[str, Any]:
    """{"video", "time", "people"}: the rows of one keyframe, with actions from `min_action` on.

    A person is {"box", "score", "track", "actions": [{"id", "name", "score"}, ...]}, actions
    best first; a score that was not given is null.
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
    """A line for each keyframe, in order; `table.classes` are `labels.names`."""
    lines = _lines(table, keyframes, labels, min_action)
    write_text(path, (json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _lines(
    table: Detections, keyframes: Keyframes, labels: Labels, min_action: float
) -> Iterator[dict[str, Any]]:
    where = rows_by_keyframe(table)
    times = milliseconds(keyframes.time)
    for video, ms, time in zip(keyframes.video, times, keyframes.time, strict=True):
        rows = np.array(where.get((str(video), int(ms)), []), int)
        yield keyframe_line(str(video), float(time), table.select(rows), labels, min_action)
