"""Baselines for TLA: labels by overlap, and labels from scores alone (ME-STAD section 4.3).

By overlap, a detection takes the labels of the neighbour box with the largest IoU. From scores,
one threshold is used for all classes, or one per class.
"""

from __future__ import annotations

import numpy as np

from stadkit import boxes
from stadkit.arrays import Rows, frame_of_rows, pairs_within_frames
from stadkit.errors import UsageError
from stadkit.tla.assignment import Bools, Floats
from stadkit.tla.block import BlockLabels, FrameBlock, People, from_pool
from stadkit.tla.options import LabellingOptions

MATCH_IOU = 0.5  # minimum IoU of a detection and a person


def by_overlap(block: FrameBlock) -> BlockLabels:
    """Take the labels of the pool box of largest IoU above 0; ties: nearer in time, then left.

    Several boxes may take the labels of one person.
    """
    row, other = pairs_within_frames(block.found.start, block.pool_start)
    overlap = boxes.paired_iou(block.found.box[row], block.truth.box[block.pool[other]])
    away = block.truth_time[block.pool] - block.time[frame_of_rows(block.pool_start)]
    order = np.lexsort((np.abs(away)[other], -overlap, row))
    best = order[np.unique(row[order], return_index=True)[1]]
    best = best[overlap[best] > 0]
    taken = np.full(len(block.found.box), -1, np.intp)
    taken[row[best]] = other[best]
    return from_pool(block, taken, np.full(len(taken), np.nan))


def over_threshold(block: FrameBlock, options: LabellingOptions) -> Bools:
    """Label each detection [n, c] by `options.threshold`; at least with its best class."""
    score = block.found.score
    best = score.max(1, keepdims=True, initial=0)
    # Without the second condition, a detection without scores would get every class.
    action = (score >= np.minimum(options.threshold, best)) & (score > 0)
    return _restricted(block, action, options)


def over_class_thresholds(
    block: FrameBlock, thresholds: Floats, options: LabellingOptions
) -> Bools:
    """Label each detection [n, c] by a threshold per class [c]; NaN is never reached."""
    return _restricted(block, block.found.score >= thresholds, options)


def _restricted(block: FrameBlock, action: Bools, options: LabellingOptions) -> Bools:
    if not options.restricted:
        return action
    return np.asarray(action & block.union[frame_of_rows(block.found.start)])


def fit_thresholds(found: People, truth: People) -> Floats:
    """Fit the threshold [c] of best F1 for each class, on the labelled keyframes.

    Boxes are matched one to one to people at IoU 0.5 or more; unmatched boxes count as negative.
    Ties take the highest threshold. NaN where a class has no positive, or no matched positive
    with a score: such a class is never assigned.
    Raises UsageError without detections at labelled keyframes.
    """
    if not len(found.row):
        raise UsageError(
            "per-class thresholds need detections at labelled keyframes, but there are none; "
            "run detection there too, or choose another strategy"
        )
    box, person = match_people(found, truth)
    positive = np.zeros(found.score.shape, bool)
    positive[box] = truth.score[person] > 0.5
    total = (truth.score > 0.5).sum(0)
    thresholds = [
        _best_threshold(*column) for column in zip(found.score.T, positive.T, total, strict=True)
    ]
    return np.array(thresholds, np.float64)


def match_people(found: People, truth: People) -> tuple[Rows, Rows]:
    """Match rows of found and truth one to one in each frame, at IoU 0.5 or more.

    The assignment maximizes the sum of IoU.
    """
    pairs = [
        (i + found.start[f], j + truth.start[f])
        for f in np.flatnonzero((np.diff(found.start) > 0) & (np.diff(truth.start) > 0)).tolist()
        for i, j in zip(*_overlapping(found.select(f, f + 1), truth.select(f, f + 1)), strict=True)
    ]
    both = np.array(pairs, np.intp).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _overlapping(found: People, truth: People) -> tuple[list[int], list[int]]:
    from scipy.optimize import linear_sum_assignment

    overlap = boxes.iou(found.box, truth.box)
    overlap = np.where(overlap >= MATCH_IOU, overlap, 0)
    row, column = linear_sum_assignment(overlap, maximize=True)
    good = overlap[row, column] > 0
    return row[good].tolist(), column[good].tolist()


def _best_threshold(score: Floats, positive: Bools, total: int) -> float:
    """Return the threshold of best F1 for one class: scores [n], positive [n], true positives."""
    order = np.argsort(-score, kind="stable")
    score, right = score[order], np.cumsum(positive[order])
    # Only the last of equal scores can be a threshold: it accepts all of them.
    last = np.append(score[1:] < score[:-1], True) & (score > 0)
    if not (right * last).any():
        return float("nan")
    f1 = np.where(last, 2 * right / (np.arange(1, len(score) + 1) + total), -1)
    return float(score[int(np.argmax(f1))])
