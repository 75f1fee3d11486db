"""Frame mAP by the ACT and MOC protocol, of tubelets or of instances.

A tubelet counts as one box with its score at each frame that it covers. In each frame and class
the boxes pass soft NMS; then, in order of score, a box takes the remaining truth with the largest
IoU, counting the last pixel as inside. It is right when the IoU reaches the threshold. AP is
trapezoidal.

Ties are broken as NumPy's float32 sort orders them, as in ACT and MOC; each score is shared by k
boxes, so ties are common.
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
from stadkit.metrics.counting import ACT, count_rows
from stadkit.metrics.frame_map import FrameMap
from stadkit.metrics.matching import people
from stadkit.metrics.ranking import by_class, trapezoid_precision
from stadkit.metrics.tube_overlap import in_pixels
from stadkit.pairwise import Sides, iou_of_pairs, sides, soft_nms
from stadkit.tubes import Tubelets, Tubes

SOFT_NMS_IOU = 0.6
PIXEL_EDGE = 1.0  # pixels
Sizes = dict[str, tuple[int, int]]  # height, width in pixels


@dataclass(frozen=True)
class FrameBoxes:
    """Boxes of all frames, one row each, found or true."""

    cell: Ints  # [n]  number of the video, frame and class
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
    """Compute the AP [c] of each class; NaN without truth.

    `sizes`: height and width in pixels of each video of `truth`; `rate`: its frames a second.
    Raises UsageError when `sizes` lacks a video, ValueError when classes differ.
    """
    if found.classes != truth.classes:
        raise ValueError(f"found has classes {found.classes}, truth {truth.classes}")
    boxes, true = boxes_by_frame(found, truth, sizes, rate)
    return boxes_ap(apply_soft_nms(boxes), true, len(truth.classes), min_iou)


def boxes_by_frame(
    found: Tubelets, truth: Tubes, sizes: dict[str, tuple[int, int]], rate: float
) -> tuple[FrameBoxes, FrameBoxes]:
    """Expand tubelets, k rows each, and true tubes to boxes with common cell numbers.

    Cells are ordered by the videos of `found`, then by frame.
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


def apply_soft_nms(boxes: FrameBoxes) -> FrameBoxes:
    """Apply soft NMS to the scores within each frame and class."""
    order = _ascending_in_cells(boxes.cell, boxes.score.astype(np.float32))
    # soft_nms visits ties in reverse row order, as the references reverse their sort.
    box = boxes.box.take(order, 1)[:, None]
    score = np.empty(len(order))
    score[order] = soft_nms(boxes.cell[order], boxes.score[order], box, SOFT_NMS_IOU, PIXEL_EDGE)
    return replace(boxes, score=score)


def boxes_ap(
    boxes: FrameBoxes, true: FrameBoxes, classes: int, min_iou: float
) -> NDArray[np.float64]:
    """Compute AP [classes] from scored boxes."""
    ranking = ranking_of(boxes, classes)
    return ap_of_right(true, boxes_right(boxes, true, ranking, min_iou), ranking)


def ranking_of(boxes: FrameBoxes, classes: int) -> list[Rows]:
    """Return the rows of each class, best first; ties as NumPy sorts rows ordered by cell."""
    by_cell = np.argsort(boxes.cell, kind="stable")
    parts = [by_cell[rows] for rows in by_class(boxes.label[by_cell], classes)]
    return [rows[np.argsort(-boxes.score[rows].astype(np.float32))] for rows in parts]


def ap_of_right(
    true: FrameBoxes, right: NDArray[np.bool_], ranking: list[Rows]
) -> NDArray[np.float64]:
    """Compute AP [classes] from the mask of right boxes."""
    truths = np.bincount(true.label, minlength=len(ranking))
    ap = [trapezoid_precision(right[rows], int(truths[c])) for c, rows in enumerate(ranking)]
    return np.array(ap, np.float64)


def boxes_right(
    boxes: FrameBoxes, true: FrameBoxes, ranking: list[Rows], min_iou: float
) -> NDArray[np.bool_]:
    """Mark the boxes [n] that are right when each, best first, takes a remaining truth."""
    order = np.concatenate([np.zeros(0, np.intp), *ranking])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    i, j = join_equal(boxes.cell, true.cell)
    iou = iou_of_pairs(boxes.box.take(i, 1), true.box.take(j, 1), PIXEL_EDGE)
    close = np.flatnonzero(iou >= min_iou)
    close = close[np.lexsort((j[close], -iou[close], rank[i[close]]))]
    right = np.zeros(len(order), bool)
    right[i[close[greedy_match(rank[i[close]], j[close])]]] = True
    return right


def _ascending_in_cells(cell: Ints, score: NDArray[np.float32]) -> Rows:
    """Sort rows [n] by cell and ascending score; ties as NumPy sorts each cell's rows."""
    order = np.lexsort((score, cell))
    new = run_starts(cell[order])
    start = np.flatnonzero(new)
    end = np.append(start[1:], len(order))
    tied = np.flatnonzero(~new & ~run_starts(score[order]))
    for at in np.unique(np.searchsorted(start, tied, "right") - 1).tolist():
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
    """Compute the frame mAP; also return `found` with scores after soft NMS, used for ranking.

    Found rows of videos without a size do not count. `cap` limits the rows per frame, by score
    after soft NMS. Raises UsageError when a truth video has no size, ValueError when classes
    differ.
    """
    if found.classes != truth.classes:
        raise ValueError(f"found has classes {found.classes}, truth {truth.classes}")
    _check_sizes(truth, sizes)
    usable = _usable(found, sizes)
    boxes = _boxes(found, truth, sizes, rate)
    score = np.full(len(found), np.nan)  # NaN: does not count
    score[usable] = apply_soft_nms(_part(boxes[0], usable)).score
    ranked = replace(found, score=score)
    rows = count_rows(ranked, truth, ACT.with_cap(cap), excluded, None)
    counted, true = np.flatnonzero(rows.found), np.flatnonzero(rows.truth)
    found_boxes, true_boxes = _part(replace(boxes[0], score=score), counted), _part(boxes[1], true)
    classes = len(truth.classes)
    ranking = ranking_of(found_boxes, classes)
    right = np.zeros((len(ious), len(found)), bool)
    for k, iou in enumerate(ious):
        right[k, counted] = boxes_right(found_boxes, true_boxes, ranking, iou)
    truths = np.bincount(truth.label[true], minlength=classes)
    hits = [np.bincount(found.label[hit], minlength=classes) for hit in right]
    with np.errstate(invalid="ignore"):
        recall = np.stack(hits) / truths
    result = FrameMap(
        protocol=ACT.with_cap(cap),
        ious=tuple(ious),
        ap=np.stack([ap_of_right(true_boxes, hit[counted], ranking) for hit in right]),
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
    """Compute the AP of boxes alone: each unique box of a frame, by its best score."""
    found_boxes, row = people(found)
    options = {"ious": ious, "excluded": excluded, "cap": cap}
    result, _ = act_count(found_boxes, people(truth)[0], sizes=sizes, rate=rate, **options)  # type: ignore[arg-type]
    right, counted = np.zeros((len(ious), len(found)), bool), np.zeros(len(found), bool)
    right[:, row], counted[row] = result.right, result.counted
    ranking = tuple(row[of_class] for of_class in result.ranking)
    return replace(result, right=right, counted=counted, ranking=ranking)


def _usable(found: Instances, sizes: Sizes) -> Rows:
    """Return the rows with a class, a size, a score, and ordered corners."""
    known = np.array([video in sizes for video in found.videos], bool)
    x1, y1, x2, y2 = found.box.T
    usable = (found.label >= 0) & ~np.isnan(found.score) & (x2 >= x1) & (y2 >= y1)
    return np.flatnonzero(usable & known[found.video])


def _check_sizes(truth: Instances, sizes: Sizes) -> None:
    missing = [video for video in truth.videos if video not in sizes]
    if missing:
        raise UsageError(
            f"no width and height for video {missing[0]!r} ({len(missing)} of "
            f"{len(truth.videos)}); pass a truth file that lists the video sizes"
        )


def _boxes(
    found: Instances, truth: Instances, sizes: Sizes, rate: float
) -> tuple[FrameBoxes, FrameBoxes]:
    """Convert all rows to pixels; equal cells are the same video, frame and class.

    Cells are ordered by the videos of `found`, then by frame.
    """
    number = {name: i for i, name in enumerate(dict.fromkeys((*found.videos, *truth.videos)))}
    frames = [np.rint(table.time * rate).astype(np.int64) for table in (found, truth)]
    low = min(int(frame.min(initial=0)) for frame in frames)
    span = max(int(frame.max(initial=0)) for frame in frames) - low + 1
    tables = []
    for table, frame in zip((found, truth), frames, strict=True):
        video: Ints = np.array([number[name] for name in table.videos], np.int64)[table.video]
        scale = np.array([sizes.get(name, (1, 1))[::-1] * 2 for name in table.videos], np.float64)
        # Rounded as files print them: the pixel -> fraction -> pixel round trip adds an error that
        # would matter for an IoU exactly at the threshold.
        pixels = np.round(table.box * scale.reshape(-1, 4)[table.video], 6)
        cell = (video * span + frame - low) * len(table.classes) + table.label
        tables.append(FrameBoxes(cell, table.label, table.score, sides(pixels)))
    return tables[0], tables[1]


def _part(boxes: FrameBoxes, rows: Rows) -> FrameBoxes:
    return FrameBoxes(
        boxes.cell[rows], boxes.label[rows], boxes.score[rows], boxes.box.take(rows, 1)
    )
