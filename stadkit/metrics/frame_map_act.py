"""Frame mAP of tubelets, as ACT and MOC count it.

Each tubelet is a box at each frame it covers, with its score. In each frame and class the boxes
pass soft NMS; then, from the best score down, equal scores in the order of the rows, a box takes
the truth that it overlaps most of those that are left, the last pixel counted as inside. It is
right when that overlap is at least the threshold. AP is the trapezoid's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stadkit.link.overlap import Sides, iou_of_pairs, sides
from stadkit.link.runs import Ints, same_group
from stadkit.link.soft_nms import soft_nms
from stadkit.link.turns import take_in_turn
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
    """The boxes of tubelets, k rows each, and of true tubes; cells number both alike."""
    k, classes = found.length, len(truth.classes)
    names = np.array(found.videos, np.str_)
    videos = np.unique(np.concatenate([names, truth.video]))
    video = np.searchsorted(videos, names)[found.video].repeat(k)
    frame = (found.frame[:, None] + np.arange(k)).ravel()
    true_video = np.searchsorted(videos, truth.video)[truth.owner]
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
    box = boxes.box[:, None]
    return replace(boxes, score=soft_nms(boxes.cell, boxes.score, box, SOFT_NMS, EDGE))


def boxes_ap(
    boxes: FrameBoxes, true: FrameBoxes, classes: int, min_iou: float
) -> NDArray[np.float64]:
    """AP [classes] of boxes as they are scored."""
    return ap_of_right(boxes, true, boxes_right(boxes, true, min_iou), classes)


def ap_of_right(
    boxes: FrameBoxes, true: FrameBoxes, right: NDArray[np.bool_], classes: int
) -> NDArray[np.float64]:
    """AP [classes] where it is known which boxes are right."""
    order = np.argsort(-boxes.score, kind="stable")
    truths = np.bincount(true.label, minlength=classes)
    ranked = [order[boxes.label[order] == label] for label in range(classes)]
    ap = [trapezoid_precision(right[rows], int(truths[c])) for c, rows in enumerate(ranked)]
    return np.array(ap, np.float64)


def boxes_right(boxes: FrameBoxes, true: FrameBoxes, min_iou: float) -> NDArray[np.bool_]:
    """Which boxes [n] are right when each, from the best score down, takes a truth that is left."""
    order = np.argsort(-boxes.score, kind="stable")
    turn = np.empty(len(order), np.int64)
    turn[order] = np.arange(len(order))
    i, j = same_group(boxes.cell, true.cell)
    iou = iou_of_pairs(boxes.box.take(i, 1), true.box.take(j, 1), EDGE)
    near = np.flatnonzero(iou >= min_iou)
    near = near[np.lexsort((j[near], -iou[near], turn[i[near]]))]
    right = np.zeros(len(order), bool)
    right[i[near[take_in_turn(turn[i[near]], j[near])]]] = True
    return right
