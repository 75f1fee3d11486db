"""Temporal label assignment (TLA): detections take the labels of people in neighbour keyframes.

Holds the matching cost of a (detection, labelled person) pair and the minimum-cost assignment.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stadkit import boxes
from stadkit.arrays import Rows, expand_ranges, offsets, pairs_within_frames
from stadkit.tla.options import LabellingOptions

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
# Scores are clipped this far from 0 and 1: a class missing from a file is no certainty.
SCORE_MARGIN = 1e-4


def assign_labels(
    score: Floats,
    box: Floats,
    start: Rows,
    label: Bools,
    true_box: Floats,
    true_start: Rows,
    options: LabellingOptions,
) -> tuple[Rows, Floats]:
    """ME-STAD Algorithm 1 for many frames at once: (assigned person [n], its cost [n]).

    Scores [n, c] and boxes [n, 4] of detections (line 1); labels [m, c] and boxes [m, 4] of the
    nearest earlier and later keyframes together (line 2); start and true_start [f + 1] are the
    row offsets of the frames. Background boxes get -1 and NaN: all boxes of a frame without
    neighbours, no box of a frame with at most as many boxes as people.
    """
    row, other = pairs_within_frames(start, true_start)
    cost, background = costs(score, box, label, true_box, row, other, options)
    chosen = assign(cost, background, np.diff(start), np.diff(true_start), options.background)
    taken, assigned_cost = np.full(len(box), -1, np.intp), np.full(len(box), np.nan)
    taken[row[chosen]], assigned_cost[row[chosen]] = other[chosen], cost[chosen]
    return taken, assigned_cost


def assign(cost: Floats, background: Floats, n: Rows, m: Rows, rule: str) -> Rows:
    """ME-STAD Eq. 7 for each frame: return the matched pairs [p], ascending.

    cost [p] holds each frame's n [f] x m [f] matrix in row order; background [sum of n] is the
    cost of each row as one of the n - m background objects, 0 by the rule "free".
    """
    chosen = list(_matches(cost, background, n, m, rule))
    return np.concatenate(chosen) if chosen else np.zeros(0, np.intp)


def _matches(cost: Floats, background: Floats, n: Rows, m: Rows, rule: str) -> Iterator[Rows]:
    from scipy.optimize import linear_sum_assignment

    first, begin = offsets(n)[:-1], offsets(n * m)[:-1]
    nonempty = np.flatnonzero((n > 0) & (m > 0))
    columns_of_frames = (part[nonempty].tolist() for part in (n, m, first, begin))
    for rows, columns, at, base in zip(*columns_of_frames, strict=True):
        block = cost[base : base + rows * columns].reshape(rows, columns)
        if rows > columns and rule == "paper":
            # Padded to square, so that unmatched rows pay; extra columns are background.
            block = _with_background(block, background[at : at + rows])
            row, column = linear_sum_assignment(block)
            row, column = row[column < columns], column[column < columns]
        else:
            row, column = linear_sum_assignment(block)
        yield base + row * columns + column


def _with_background(block: Floats, background: Floats) -> Floats:
    n, m = block.shape
    square = np.empty((n, n))
    square[:, :m] = block
    square[:, m:] = background[:, None]
    return square


def costs(
    score: Floats,
    box: Floats,
    label: Bools,
    true_box: Floats,
    row: Rows,
    other: Rows,
    options: LabellingOptions,
) -> tuple[Floats, Floats]:
    """ME-STAD Eq. 6 for pairs [p], and the background cost [n] of each box.

    score [n, c] 0 to 1 and box [n, 4] of detections, label [m, c] and true_box [m, 4] of the
    neighbours, boxes in fractions of the frame; row [p] and other [p] index them.
    A background object costs only the cross entropy with an empty label (section 3.4).
    """
    on_class, on_distance, on_overlap = options.weights
    entropy, background = cross_entropy(score, label, row, other)
    if options.bce == "mean":
        classes = max(score.shape[1], 1)
        entropy, background = entropy / classes, background / classes
    apart = box[row] - true_box[other]
    cost = on_class * entropy
    cost += on_distance * distance(apart, options.distance)
    cost += on_overlap * (1 - boxes.paired_giou(box[row], true_box[other]))
    return cost, on_class * background


def cross_entropy(score: Floats, label: Bools, row: Rows, other: Rows) -> tuple[Floats, Floats]:
    """Binary cross entropy summed over classes: of pairs [p], and of rows with empty labels [n]."""
    safe = score.clip(SCORE_MARGIN, 1 - SCORE_MARGIN)
    without = -np.log1p(-safe)  # [n, c]  loss of a negative label
    more = -np.log(safe) - without  # [n, c]  additional loss of a positive label
    background = without.sum(1)
    # Positive labels are sparse: for each pair only these are summed.
    person, action = np.nonzero(label)
    done = np.bincount(person, minlength=len(label))
    count = done[other]
    pair = np.repeat(np.arange(len(row)), count)
    extra = more[row[pair], action[expand_ranges(offsets(done)[:-1][other], count)[1]]]
    return background[row] + np.bincount(pair, extra, len(row)), background


def distance(apart: Floats, kind: str) -> Floats:
    """Sum the L1 or smooth-L1 (beta 1) distances [p] of corner offsets `apart` [p, 4]."""
    apart = np.abs(apart)
    if kind == "smooth-l1":
        apart = np.where(apart < 1, apart**2 / 2, apart - 0.5)
    return np.asarray(apart.sum(1))
