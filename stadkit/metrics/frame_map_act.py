"""Frame mAP of tubelets, as ACT and MOC count it.

Each tubelet is a box at each frame it covers, with its score. In each frame and class the boxes
pass soft NMS; then, from the best score down, a box takes the truth that it overlaps most of
those that are left, the last pixel counted as inside. It is right when that overlap is at least
the threshold. AP is the trapezoid's.

Of equal scores both steps take the one that NumPy's sort of float32 gives them, as ACT and MOC
do; each score stands for k boxes here, so that many are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stadkit.link.overlap import Sides, iou_of_pairs, sides
from stadkit.link.runs import Ints, first_of_each, same_group
from stadkit.link.soft_nms import soft_nms
from stadkit.link.turns import take_in_turn
from stadkit.metrics.ranking import Rows, by_class
from stadkit.metrics.trapezoid import trapezoid_precision
from stadkit.metrics.tube_overlap import in_pixels
from stadkit.tubes import Tubelets, Tubes

SOFT_NMS = 0.6
EDGE = 1.0  # pixels


@dataclass(frozen=True)
class FrameBoxes:
    """Boxes of all frames, a row each, found or true."""

    cell: Ints  # [n]  video, frame and class in one number
    label: NDArray[np.int32]  # [n]
    score: NDArray[np.float64]  # [n]
    box: Sides  # [4, n]  pixels


def frame_map_act(
    found: Tubelets,
    truth: Tubes,
    *,
    sizes: dict[str, tuple[int, int]],
    rate: float,
    min_iou: float = 0.5,
) -> NDArray[np.float64]:
    """AP [c] of each class; NaN for one without truth.

    `sizes` are height and width in pixels of each video of `truth`, `rate` its frames a second.
    Raises UsageError when `sizes` lacks a video, ValueError when classes differ.
    """
    if found.classes != truth.classes:
        raise ValueError(f"found has classes {found.classes}, truth {truth.classes}")
    boxes, true = by_frame(found, truth, sizes, rate)
    return boxes_ap(suppressed(boxes), true, len(truth.classes), min_iou)


def by_frame(
    found: Tubelets, truth: Tubes, sizes: dict[str, tuple[int, int]], rate: float
) -> tuple[FrameBoxes, FrameBoxes]:
    """The boxes of tubelets, k rows each, and of true tubes; cells number both alike.

    Cells go up with the videos of `found`, then with frames.
    """
    k, classes = found.length, len(truth.classes)
    names = dict.fromkeys((*found.videos, *truth.video.tolist()))
    number = {name: place for place, name in enumerate(names)}
    video = found.video.astype(np.int64).repeat(k)
    frame = (found.frame[:, None] + np.arange(k)).ravel()
    true_video = np.array([number[name] for name in truth.video.tolist()], np.int64)[truth.owner]
    true_frame = np.rint(truth.time * rate).astype(np.int64) + 1
    span = int(max(frame.max(initial=0), true_frame.max(initial=0))) + 1
    label, true_label = found.label.repeat(k), truth.label[truth.owner]
    boxes = FrameBoxes(
        cell=np.asarray((video * span + frame) * classes + label, np.int64),
        label=label,
        score=found.score.repeat(k),
        box=sides(found.box.reshape(-1, 4)),
    )
    true = FrameBoxes(
        cell=(true_video * span + true_frame) * classes + true_label,
        label=true_label,
        score=np.ones(len(true_label)),
        box=sides(in_pixels(truth, sizes)),
    )
    return boxes, true


def suppressed(boxes: FrameBoxes) -> FrameBoxes:
    """The same boxes with their scores after soft NMS in each frame and class."""
    order = _upward_in_cells(boxes.cell, boxes.score.astype(np.float32))
    # Of equal scores soft_nms takes the last row first, as the references turn their sort round.
    box = boxes.box.take(order, 1)[:, None]
    score = np.empty(len(order))
    score[order] = soft_nms(boxes.cell[order], boxes.score[order], box, SOFT_NMS, EDGE)
    return replace(boxes, score=score)


def boxes_ap(
    boxes: FrameBoxes, true: FrameBoxes, classes: int, min_iou: float
) -> NDArray[np.float64]:
    """AP [classes] of boxes as they are scored."""
    ranking = ranking_of(boxes, classes)
    return ap_of_right(true, boxes_right(boxes, true, ranking, min_iou), ranking)


def ranking_of(boxes: FrameBoxes, classes: int) -> list[Rows]:
    """The rows of each class, best first, as the sort leaves them when they go in by cells."""
    by_cell = np.argsort(boxes.cell, kind="stable")
    parts = [by_cell[rows] for rows in by_class(boxes.label[by_cell], classes)]
    return [rows[np.argsort(-boxes.score[rows].astype(np.float32))] for rows in parts]


def ap_of_right(
    true: FrameBoxes, right: NDArray[np.bool_], ranking: list[Rows]
) -> NDArray[np.float64]:
    """AP [classes] where it is known which boxes are right."""
    truths = np.bincount(true.label, minlength=len(ranking))
    ap = [trapezoid_precision(right[rows], int(truths[c])) for c, rows in enumerate(ranking)]
    return np.array(ap, np.float64)


def boxes_right(
    boxes: FrameBoxes, true: FrameBoxes, ranking: list[Rows], min_iou: float
) -> NDArray[np.bool_]:
    """Which boxes [n] are right when each, the best first, takes a truth that is left."""
    order = np.concatenate([np.zeros(0, np.intp), *ranking])
    turn = np.empty(len(order), np.int64)
    turn[order] = np.arange(len(order))
    i, j = same_group(boxes.cell, true.cell)
    iou = iou_of_pairs(boxes.box.take(i, 1), true.box.take(j, 1), EDGE)
    near = np.flatnonzero(iou >= min_iou)
    near = near[np.lexsort((j[near], -iou[near], turn[i[near]]))]
    right = np.zeros(len(order), bool)
    right[i[near[take_in_turn(turn[i[near]], j[near])]]] = True
    return right


def _upward_in_cells(cell: Ints, score: NDArray[np.float32]) -> Rows:
    """The rows [n] by cell, in each as the sort leaves them, the least score first."""
    order = np.lexsort((score, cell))
    new = first_of_each(cell[order])
    start = np.flatnonzero(new)
    end = np.append(start[1:], len(order))
    twin = np.flatnonzero(~new & ~first_of_each(score[order]))
    for at in np.unique(np.searchsorted(start, twin, "right") - 1).tolist():
        rows = np.sort(order[start[at] : end[at]])
        order[start[at] : end[at]] = rows[np.argsort(score[rows])]
    return order
