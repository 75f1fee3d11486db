"""ACT's and MOC's count of frames, row by row: which rows count, which are right, and AP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stadkit.claims import Claims
from stadkit.detections import Keyframes
from stadkit.errors import UsageError
from stadkit.link.overlap import sides
from stadkit.link.runs import Ints
from stadkit.metrics.counting import count_rows
from stadkit.metrics.frame_map import FrameMap
from stadkit.metrics.frame_map_act import (
    FrameBoxes,
    ap_of_right,
    boxes_right,
    ranking_of,
    suppressed,
)
from stadkit.metrics.people import people
from stadkit.metrics.protocols import ACT

Rows = NDArray[np.intp]
Sizes = dict[str, tuple[int, int]]  # height, width in pixels


def act_count(
    found: Claims,
    truth: Claims,
    *,
    sizes: Sizes,
    rate: float,
    ious: Sequence[float] = (0.5,),
    excluded: Keyframes | None = None,
    cap: int | None = None,
) -> tuple[FrameMap, Claims]:
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
    found: Claims,
    truth: Claims,
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


def _usable(found: Claims, sizes: Sizes) -> Rows:
    """The rows that have a class, a size, a score, and corners in order."""
    known = np.array([video in sizes for video in found.videos], bool)
    x1, y1, x2, y2 = found.box.T
    there = (found.label >= 0) & ~np.isnan(found.score) & (x2 >= x1) & (y2 >= y1)
    return np.flatnonzero(there & known[found.video])


def _check_sizes(truth: Claims, sizes: Sizes) -> None:
    lacking = [video for video in truth.videos if video not in sizes]
    if lacking:
        raise UsageError(
            f"no width and height for video {lacking[0]!r} ({len(lacking)} such); give the truth "
            "file that lists the videos"
        )


def _boxes(
    found: Claims, truth: Claims, sizes: Sizes, rate: float
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
