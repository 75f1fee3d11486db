"""What it costs a person found to take the labels of a person of a neighbouring keyframe."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.tla.options import Options
from stadkit.tla.ragged import Ints, spans, starts

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Scores nearer to 0 or 1 count as this near: a class that a file leaves out is no proof.
NEAREST_TO_SURE = 1e-4


def costs(
    score: Floats,
    box: Floats,
    label: Bools,
    true_box: Floats,
    row: Ints,
    other: Ints,
    options: Options,
) -> tuple[Floats, Floats]:
    """ME-STAD Eq. 6 for pairs [p], and for each box the cost [n] of being background.

    score [n, c] 0 to 1 and box [n, 4] of people found, label [m, c] and true_box [m, 4] of the
    neighbours, boxes in fractions of the frame; row [p] and other [p] index them.
    A background object costs the cross entropy with no label alone (section 3.4).
    """
    on_class, on_distance, on_overlap = options.weights
    entropy, background = cross_entropy(score, label, row, other)
    if options.bce == "mean":
        classes = max(score.shape[1], 1)
        entropy, background = entropy / classes, background / classes
    apart = box[row] - true_box[other]
    cost = on_class * entropy
    cost += on_distance * distance(apart, options.distance)
    cost += on_overlap * (1 - giou(box[row], true_box[other]))
    return cost, on_class * background


def cross_entropy(score: Floats, label: Bools, row: Ints, other: Ints) -> tuple[Floats, Floats]:
    """Binary cross entropy summed over classes: of pairs [p], and of each row with no label [n]."""
    safe = score.clip(NEAREST_TO_SURE, 1 - NEAREST_TO_SURE)
    without = -np.log1p(-safe)  # [n, c]  the class is not done
    more = -np.log(safe) - without  # [n, c]  what it costs more that it is done
    background = without.sum(1)
    # Most people do few of the classes: only these are added up, for each pair.
    person, action = np.nonzero(label)
    done = np.bincount(person, minlength=len(label))
    count = done[other]
    pair = np.repeat(np.arange(len(row)), count)
    extra = more[row[pair], action[spans(starts(done)[:-1][other], count)]]
    return background[row] + np.bincount(pair, extra, len(row)), background


def distance(apart: Floats, kind: str) -> Floats:
    """Distances [p] of corners apart [p, 4]: their L1 or smooth-L1 (beta 1), summed."""
    apart = np.abs(apart)
    if kind == "smooth-l1":
        apart = np.where(apart < 1, apart**2 / 2, apart - 0.5)
    return np.asarray(apart.sum(1))


def giou(a: Floats, b: Floats) -> Floats:
    """Generalised IoU [p] of pairs of boxes [p, 4]: `boxes.giou` has all pairs of two lists."""
    shared, union = _shared_and_union(a, b)
    hull = _extent(np.minimum(a[:, :2], b[:, :2]), np.maximum(a[:, 2:], b[:, 2:]))
    empty = np.divide(hull - union, hull, out=np.zeros_like(hull), where=hull > 0)
    return _share(shared, union) - empty


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union [p] of pairs of boxes [p, 4]; 0 where the union is empty."""
    return _share(*_shared_and_union(a, b))


def _shared_and_union(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    shared = _extent(np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:]))
    return shared, _extent(a[:, :2], a[:, 2:]) + _extent(b[:, :2], b[:, 2:]) - shared


def _extent(low: Floats, high: Floats) -> Floats:
    side = np.maximum(high - low, 0)
    return np.asarray(side[:, 0] * side[:, 1])


def _share(shared: Floats, union: Floats) -> Floats:
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
