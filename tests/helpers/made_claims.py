"""Claims from rows written by hand, and the same numbers by a plain loop."""

from collections.abc import Sequence
from heapq import heappush, heapreplace
from typing import Any
from zlib import crc32

import numpy as np

from stadkit.detections import Keyframes
from stadkit.instances import Instances
from stadkit.metrics.counting import Protocol

NAN = float("nan")
Box = tuple[float, float, float, float]
Row = tuple[str, float, Box, int, float]  # video, time, box, label, score

LEFT, RIGHT = (0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0)
NEAR_LEFT = (0.0, 0.0, 0.3, 1.0)  # IoU with LEFT .75
SHIFTED = (0.1, 0.0, 0.5, 1.0)  # IoU with LEFT .6
MIDDLE = (0.4, 0.0, 0.6, 1.0)  # meets neither


def claims(*rows: Row, classes: Sequence[str] = ("a", "b")) -> Instances:
    videos = tuple(dict.fromkeys(row[0] for row in rows))
    return Instances(
        videos=videos,
        video=np.array([videos.index(row[0]) for row in rows], np.int32),
        time=np.array([row[1] for row in rows], np.float64),
        box=np.array([row[2] for row in rows], np.float64).reshape(-1, 4),
        label=np.array([row[3] for row in rows], np.int32),
        score=np.array([row[4] for row in rows], np.float64),
        classes=tuple(classes),
    )


def at(*frames: tuple[str, float]) -> Keyframes:
    video = np.array([name for name, _ in frames], np.str_)
    return Keyframes(video, np.array([time for _, time in frames], np.float64))


def loop_ap(found: list[Row], truth: list[Row], label: int, rules: Protocol) -> float:
    """AP of one class at IoU 0.5, a plain loop over detections by the rules."""
    seen = {row[:2] for row in truth if row[3] >= 0}
    # Each a tuple of its own, so that two equal rows are not one.
    rows: list[Row] = [(*row[:4], row[4]) for row in found if row[3] >= 0]
    first = [row for row in truth if row[3] >= 0] if rules.frames == "truth" else rows
    frames = dict.fromkeys(row[:2] for row in [*first, *rows])
    kept = [row for frame in frames for row in _in_turn(rows, frame, rules)]
    if rules.unlabelled == "dropped":
        kept = [row for row in kept if row[:2] in seen]
    if rules.no_area == "dropped":
        kept = [row for row in kept if row[2][2] > row[2][0] and row[2][3] > row[2][1]]
    kept = [row for row in kept if row[3] == label]
    truth = [row for row in truth if row[3] == label]
    if not truth:
        return NAN
    if not kept:
        return rules.undetected
    if rules.ties == "sort":
        counted = {id(row) for row in kept}
        kept = [row for row in rows if id(row) in counted]
        best_first = [kept[i] for i in np.argsort([-row[4] for row in kept])]
    else:
        score = np.array([row[4] for row in kept], np.float32 if rules.float32 else np.float64)
        best_first = [kept[i] for i in np.argsort(score)[::-1]]
    right = _right(best_first if rules.ties == "sort" else kept, truth)
    marks = [id(row) in right for row in best_first]
    precision = [sum(marks[: k + 1]) / (k + 1) for k in range(len(marks))]
    return sum(max(precision[k:]) for k in range(len(marks)) if marks[k]) / len(truth)


def _in_turn(rows: list[Row], frame: tuple[str, float], rules: Protocol) -> list[Row]:
    """Return the rows of a frame under the cap, in the order in which they claim truth."""
    mine = [row for row in rows if row[:2] == frame and not np.isnan(row[4])]
    if rules.ties == "heap":
        heap: list[Any] = []
        for i, row in enumerate(mine):
            x1, y1, x2, y2 = row[2]
            entry = (row[4], row[3], y1, x1, y2, x2, i)
            if rules.cap is None or len(heap) < rules.cap:
                heappush(heap, entry)
            elif row[4] > heap[0][0]:
                heapreplace(heap, entry)
        mine = [mine[entry[-1]] for entry in heap]
    elif rules.cap is not None:
        best = sorted(mine, key=lambda row: -row[4])[: rules.cap]
        mine = [row for row in mine if any(row is other for other in best)]
    if rules.order == "file":
        return mine
    return sorted(mine[::-1] if rules.ties == "last" else mine, key=lambda row: -row[4])


def _right(rows: list[Row], truth: list[Row]) -> set[int]:
    free, right = set(range(len(truth))), set()
    for row in rows:
        here = [j for j in range(len(truth)) if truth[j][:2] == row[:2]]
        overlap = [loop_iou(row[2], truth[j][2]) for j in here]
        if here and max(overlap) >= 0.5 and here[int(np.argmax(overlap))] in free:
            right.add(id(row))
            free.remove(here[int(np.argmax(overlap))])
    return right


def sorts_as_then() -> bool:
    """Whether NumPy's sort orders ties as on the machine of the reference numbers.

    That hangs on NumPy's version and the processor (theirs: 2.4 with AVX-512).
    """
    return crc32(np.argsort(np.arange(300) * 7919 % 8 / 8).tobytes()) == 2422077646


def loop_iou(a: Box, b: Box) -> float:
    wide = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    high = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / union if union > 0 else 0.0
