"""ACT's and MOC's frame AP by their steps, a box at a time, with their calls to NumPy's sort."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.tubes import Tubelets

Floats = NDArray[Any]
Truths = dict[tuple[int, int], Floats]  # boxes of a class, by place of the video and frame


def loop_act_ap(tubelets: Tubelets, truth: list[Truths], frames: int) -> list[float]:
    """AP of each class at IoU .5; all videos have the same number of frames."""
    found: list[list[Floats]] = [[] for _ in truth]
    for video in range(len(tubelets.videos)):
        for frame in range(1, frames + 1):
            for label, rows in enumerate(found):
                boxes = _boxes(tubelets, video, frame, label)
                place = np.tile(np.array([video, frame], np.float32), (len(boxes), 1))
                rows.append(np.column_stack([place, _soft_nms(boxes)]))
    return [
        _trapezoid(_right(np.concatenate(rows), dict(here)), sum(map(len, here.values())))
        for rows, here in zip(found, truth, strict=True)
    ]


def _boxes(tubelets: Tubelets, video: int, frame: int, label: int) -> Floats:
    """Return x1 y1 x2 y2 score [n, 5] of a class in a frame, by tubelet start."""
    at = frame - tubelets.frame
    here = (tubelets.video == video) & (tubelets.label == label)
    rows = np.flatnonzero(here & (at >= 0) & (at < tubelets.length))
    return np.column_stack([tubelets.box[rows, at[rows]], tubelets.score[rows]]).astype(np.float32)


def _soft_nms(boxes: Floats) -> Floats:
    boxes, order = boxes.copy(), np.argsort(boxes[:, 4])
    while len(order):
        best, rest = order[-1], order[:-1]
        iou = _iou(boxes[rest], boxes[best])
        boxes[rest[iou > 0.6], 4] *= 1 - iou[iou > 0.6]
        order = rest[iou <= 0.6]
    return boxes


def _right(rows: Floats, left: Truths) -> list[bool]:
    """Whether each of the rows video, frame, x1 y1 x2 y2, score is right, best first."""
    right = []
    for row in rows[np.argsort(-rows[:, 6])]:
        key = (int(row[0]), int(row[1]))
        iou = _iou(left.get(key, np.zeros((0, 4))), row[2:6])
        right.append(bool(len(iou) and iou.max() >= 0.5))
        if right[-1]:
            left[key] = np.delete(left[key], iou.argmax(), 0)
    return right


def _trapezoid(right: list[bool], truths: int) -> float:
    hits = np.cumsum(right)
    precision = np.append(1, hits / np.arange(1, len(right) + 1))
    recall = np.append(0, hits / truths)
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) / 2))


def _iou(boxes: Floats, one: Floats) -> Floats:
    """IoU [n], counting the last pixel as inside."""
    shared = np.minimum(boxes[:, 2:4], one[2:4]) - np.maximum(boxes[:, :2], one[:2]) + 1
    both = np.maximum(0, shared).prod(1)
    areas = (boxes[:, 2:4] - boxes[:, :2] + 1).prod(1) + (one[2:4] - one[:2] + 1).prod()
    return np.asarray(both / (areas - both))
