"""What TLA is compared with: labels by overlap, and labels from scores alone (ME-STAD section 4.3).

Each person found does what the neighbour does whom the box overlaps most.

Labels from scores alone (ME-STAD section 4.3): one threshold, or one a class.
"""

from __future__ import annotations

import numpy as np

from stadkit import boxes
from stadkit.arrays import Rows, frame_of_rows, pairs_within_frames
from stadkit.errors import UsageError
from stadkit.tla.assignment import Bools, Floats, iou
from stadkit.tla.block import Block, BlockLabels, People, from_pool
from stadkit.tla.options import Options

MATCHED = 0.5  # IoU from which a box is that person's


def by_overlap(block: Block) -> BlockLabels:
    """Labels of the pool's box of largest IoU, above 0; of equals the nearer in time, then left.

    Several boxes may take the labels of one person.
    """
    row, other = pairs_within_frames(block.found.start, block.pool_start)
    overlap = iou(block.found.box[row], block.truth.box[block.pool[other]])
    away = block.truth_time[block.pool] - block.time[frame_of_rows(block.pool_start)]
    order = np.lexsort((np.abs(away)[other], -overlap, row))
    best = order[np.unique(row[order], return_index=True)[1]]
    best = best[overlap[best] > 0]
    taken = np.full(len(block.found.box), -1, np.intp)
    taken[row[best]] = other[best]
    return from_pool(block, taken, np.full(len(taken), np.nan))


def over_threshold(block: Block, options: Options) -> Bools:
    """Whether each person found is given each class, [n, c]: `options.threshold`, or the best."""
    score = block.found.score
    best = score.max(1, keepdims=True, initial=0)
    # Somebody for whom nothing was scored does not do everything.
    action = (score >= np.minimum(options.threshold, best)) & (score > 0)
    return _restricted(block, action, options)


def over_class_thresholds(block: Block, thresholds: Floats, options: Options) -> Bools:
    """The same with a threshold a class, [c]; NaN is never reached."""
    return _restricted(block, block.found.score >= thresholds, options)


def _restricted(block: Block, action: Bools, options: Options) -> Bools:
    if not options.restricted:
        return action
    return np.asarray(action & block.union[frame_of_rows(block.found.start)])


def fit_thresholds(found: People, truth: People) -> Floats:
    """The threshold [c] of best F1 for each class, at the same labelled keyframes.

    A box is that of the person whom it overlaps by IoU 0.5 or more, one to one; others do
    nothing. Of equally good thresholds the highest. NaN where nobody does the class, or nobody
    who does was found with a score: such a class is never given.
    Raises UsageError where nobody was found at a labelled keyframe.
    """
    if not len(found.row):
        raise UsageError(
            "per-class thresholds are fitted on detections at labelled keyframes, and there are "
            "none; detect there too, or choose another strategy"
        )
    box, person = match_people(found, truth)
    done = np.zeros(found.score.shape, bool)
    done[box] = truth.score[person] > 0.5
    there = (truth.score > 0.5).sum(0)
    fitted = [_best(*column) for column in zip(found.score.T, done.T, there, strict=True)]
    return np.array(fitted, np.float64)


def match_people(found: People, truth: People) -> tuple[Rows, Rows]:
    """Pairs (row of found, row of truth) of IoU 0.5 or more in the same frame, one to one.

    So that the sum of IoU is largest.
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
    overlap = np.where(overlap >= MATCHED, overlap, 0)
    row, column = linear_sum_assignment(overlap, maximize=True)
    good = overlap[row, column] > 0
    return row[good].tolist(), column[good].tolist()


def _best(score: Floats, done: Bools, there: int) -> float:
    """The threshold of best F1 for one class: scores [n], whether done [n], people who do it."""
    order = np.argsort(-score, kind="stable")
    score, right = score[order], np.cumsum(done[order])
    # Only the last of equal scores is a threshold: all of them are given with it.
    last = np.append(score[1:] < score[:-1], True) & (score > 0)
    if not (right * last).any():
        return float("nan")
    f1 = np.where(last, 2 * right / (np.arange(1, len(score) + 1) + there), -1)
    return float(score[int(np.argmax(f1))])
