"""Claims from rows written by hand, and the same numbers by a plain loop."""

from collections.abc import Sequence

import numpy as np

from stadkit.claims import Claims
from stadkit.detections import Keyframes
from stadkit.metrics.protocols import Protocol

NAN = float("nan")
Box = tuple[float, float, float, float]
Row = tuple[str, float, Box, int, float]  # video, time, box, label, score

LEFT, RIGHT = (0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0)
NEAR_LEFT = (0.0, 0.0, 0.3, 1.0)  # IoU with LEFT .75
SHIFTED = (0.1, 0.0, 0.5, 1.0)  # IoU with LEFT .6
MIDDLE = (0.4, 0.0, 0.6, 1.0)  # meets neither


def claims(*rows: Row, classes: Sequence[str] = ("a", "b")) -> Claims:
    videos = tuple(dict.fromkeys(row[0] for row in rows))
    return Claims(
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
    """AP of one class at IoU 0.5 by the words of the rules, a detection at a time."""
    seen = {row[:2] for row in truth if row[3] >= 0}
    # Each a tuple of its own, so that two equal rows are not one.
    rows: list[Row] = [(*row[:4], row[4]) for row in found]
    kept = [row for row in rows if row[3] >= 0 and not np.isnan(row[4])]
    if rules.cap is not None:
        kept = [row for row in kept if _place(row, kept) < rules.cap]
    if rules.unseen == "dropped":
        kept = [row for row in kept if row[:2] in seen]
    if rules.no_area == "dropped":
        kept = [row for row in kept if row[2][2] > row[2][0] and row[2][3] > row[2][1]]
    kept = [row for row in kept if row[3] == label]
    truth = [row for row in truth if row[3] == label]
    if not truth:
        return NAN
    if not kept:
        return rules.undetected
    best_first = sorted(kept, key=lambda row: -row[4])
    right = _right(kept if rules.order == "file" else best_first, truth)
    marks = [id(row) in right for row in best_first]
    precision = [sum(marks[: k + 1]) / (k + 1) for k in range(len(marks))]
    return sum(max(precision[k:]) for k in range(len(marks)) if marks[k]) / len(truth)


def _place(row: Row, rows: list[Row]) -> int:
    """How many rows of its frame come before a row by score, then in the list."""
    frame = sorted((other for other in rows if other[:2] == row[:2]), key=lambda other: -other[4])
    return next(i for i, other in enumerate(frame) if other is row)


def _right(rows: list[Row], truth: list[Row]) -> set[int]:
    free, right = set(range(len(truth))), set()
    for row in rows:
        here = [j for j in range(len(truth)) if truth[j][:2] == row[:2]]
        overlap = [loop_iou(row[2], truth[j][2]) for j in here]
        if here and max(overlap) >= 0.5 and here[int(np.argmax(overlap))] in free:
            right.add(id(row))
            free.remove(here[int(np.argmax(overlap))])
    return right


def loop_iou(a: Box, b: Box) -> float:
    wide = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    high = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / union if union > 0 else 0.0
