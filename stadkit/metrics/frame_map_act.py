"""Frame mAP of tubelets, as ACT and MOC count it.

Each tubelet is a box at each frame it covers, with its score. In each frame and class the boxes
pass soft NMS; then, from the best score down, a box takes the truth that it overlaps most of
those that are left, the last pixel counted as inside. It is right when that overlap is at least
the threshold. AP is the trapezoid's.

Of equal scores both steps take the one that NumPy's sort of float32 gives them, as ACT and MOC
do; each score stands for k boxes here, so that many are equal.

ACT's and MOC's count of frames, row by row: which rows count, which are right, and AP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Ints, Rows, greedy_match, join_equal, run_starts
from stadkit.detections import Keyframes
from stadkit.errors import UsageError
from stadkit.instances import Instances
from stadkit.metrics.average_precision import trapezoid_precision
from stadkit.metrics.counting import count_rows
from stadkit.metrics.frame_map import FrameMap
from stadkit.metrics.people import people
from stadkit.metrics.protocols import ACT
from stadkit.metrics.ranking import by_class
from stadkit.metrics.tube_overlap import in_pixels
from stadkit.pairwise import Sides, iou_of_pairs, sides, soft_nms
from stadkit.tubes import Tubelets, Tubes

SOFT_NMS = 0.6
EDGE = 1.0  # pixels
Sizes = dict[str, tuple[int, int]]  # height, width in pixels


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
    i, j = join_equal(boxes.cell, true.cell)
    iou = iou_of_pairs(boxes.box.take(i, 1), true.box.take(j, 1), EDGE)
    near = np.flatnonzero(iou >= min_iou)
    near = near[np.lexsort((j[near], -iou[near], turn[i[near]]))]
    right = np.zeros(len(order), bool)
    right[i[near[greedy_match(turn[i[near]], j[near])]]] = True
    return right


def _upward_in_cells(cell: Ints, score: NDArray[np.float32]) -> Rows:
    """The rows [n] by cell, in each as the sort leaves them, the least score first."""
    order = np.lexsort((score, cell))
    new = run_starts(cell[order])
    start = np.flatnonzero(new)
    end = np.append(start[1:], len(order))
    twin = np.flatnonzero(~new & ~run_starts(score[order]))
    for at in np.unique(np.searchsorted(start, twin, "right") - 1).tolist():
        rows = np.sort(order[start[at] : end[at]])
        order[start[at] : end[at]] = rows[np.argsort(score[rows])]
    return order


def act_count(
    found: Instances,
    truth: Instances,
    *,
    sizes: Sizes,
    rate: float,
    ious: Sequence[float] = (0.5,),
    excluded: Keyframes | None = None,
    cap: int | None = None,
) -> tuple[FrameMap, Instances]:
    """The count, and the rows of `found` with the scores that it ranks by: after soft NMS.

    Found rows of videos without a size do not count. `cap` best rows of a frame do, by their
    scores after soft NMS. Raises UsageError when a video of truth has no size, ValueError when
    classes differ.
    """
    if found.classes != truth.classes:
        raise ValueError(f"found has classes {found.classes}, truth {truth.classes}")
    _check_sizes(truth, sizes)
    there = _usable(found, sizes)
    boxes = _boxes(found, truth, sizes, rate)
    score = np.full(len(found), np.nan)  # what does not count has none
    score[there] = suppressed(_part(boxes[0], there)).score
    ranked = replace(found, score=score)
    rows = count_rows(ranked, truth, ACT.with_cap(cap), excluded, None)
    counted, true = np.flatnonzero(rows.found), np.flatnonzero(rows.truth)
    mine, theirs = _part(replace(boxes[0], score=score), counted), _part(boxes[1], true)
    classes = len(truth.classes)
    ranking = ranking_of(mine, classes)
    right = np.zeros((len(ious), len(found)), bool)
    for k, iou in enumerate(ious):
        right[k, counted] = boxes_right(mine, theirs, ranking, iou)
    truths = np.bincount(truth.label[true], minlength=classes)
    hits = [np.bincount(found.label[hit], minlength=classes) for hit in right]
    with np.errstate(invalid="ignore"):
        recall = np.stack(hits) / truths
    result = FrameMap(
        protocol=ACT.with_cap(cap),
        ious=tuple(ious),
        ap=np.stack([ap_of_right(theirs, hit[counted], ranking) for hit in right]),
        right=right,
        counted=rows.found,
        truths=truths.astype(np.int64),
        detections=np.bincount(found.label[counted], minlength=classes).astype(np.int64),
        recall=recall,
        classes=found.classes,
        ranking=tuple(counted[of_class] for of_class in ranking),
    )
    return result, replace(found, score=np.where(np.isnan(score), found.score, score))


def act_person_ap(
    found: Instances,
    truth: Instances,
    *,
    sizes: Sizes,
    rate: float,
    ious: Sequence[float] = (0.5,),
    excluded: Keyframes | None = None,
    cap: int | None = None,
) -> FrameMap:
    """The same count of the boxes alone: each box of a frame once, by its best score."""
    mine, row = people(found)
    options = {"ious": ious, "excluded": excluded, "cap": cap}
    result, _ = act_count(mine, people(truth)[0], sizes=sizes, rate=rate, **options)  # type: ignore[arg-type]
    right, counted = np.zeros((len(ious), len(found)), bool), np.zeros(len(found), bool)
    right[:, row], counted[row] = result.right, result.counted
    ranking = tuple(row[of_class] for of_class in result.ranking)
    return replace(result, right=right, counted=counted, ranking=ranking)


def _usable(found: Instances, sizes: Sizes) -> Rows:
    """The rows that have a class, a size, a score, and corners in order."""
    known = np.array([video in sizes for video in found.videos], bool)
    x1, y1, x2, y2 = found.box.T
    there = (found.label >= 0) & ~np.isnan(found.score) & (x2 >= x1) & (y2 >= y1)
    return np.flatnonzero(there & known[found.video])


def _check_sizes(truth: Instances, sizes: Sizes) -> None:
    lacking = [video for video in truth.videos if video not in sizes]
    if lacking:
        raise UsageError(
            f"no width and height for video {lacking[0]!r} ({len(lacking)} such); give the truth "
            "file that lists the videos"
        )


def _boxes(
    found: Instances, truth: Instances, sizes: Sizes, rate: float
) -> tuple[FrameBoxes, FrameBoxes]:
    """Every row in pixels; equal cells are the same video, frame and class.

    Cells go up with the videos of `found`, then with frames.
    """
    number = {name: i for i, name in enumerate(dict.fromkeys((*found.videos, *truth.videos)))}
    frames = [np.rint(table.time * rate).astype(np.int64) for table in (found, truth)]
    low = min(int(frame.min(initial=0)) for frame in frames)
    span = max(int(frame.max(initial=0)) for frame in frames) - low + 1
    made = []
    for table, frame in zip((found, truth), frames, strict=True):
        video: Ints = np.array([number[name] for name in table.videos], np.int64)[table.video]
        scale = np.array([sizes.get(name, (1, 1))[::-1] * 2 for name in table.videos], np.float64)
        # As files print them: a fraction and back leaves a trace that an IoU of just the
        # threshold would show.
        pixels = np.round(table.box * scale.reshape(-1, 4)[table.video], 6)
        cell = (video * span + frame - low) * len(table.classes) + table.label
        made.append(FrameBoxes(cell, table.label, table.score, sides(pixels)))
    return made[0], made[1]


def _part(boxes: FrameBoxes, rows: Rows) -> FrameBoxes:
    return FrameBoxes(
        boxes.cell[rows], boxes.label[rows], boxes.score[rows], boxes.box.take(rows, 1)
    )
