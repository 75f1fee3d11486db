"""Frame mAP: average precision of boxes with actions at IoU 0.5, as AVA's evaluator counts.

Per class, detections go from the best score down, equal scores in the order of the rows. Each
looks only at the truth of its class that it overlaps most (the first of equals): it is right
when their IoU is at least the threshold and no better detection has that truth, else wrong. It
never falls back to its second-best truth. Detections in keyframes without truth are wrong.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, Keyframes, number_frames


def frame_map(
    found: Detections, truth: Detections, keyframes: Keyframes, min_iou: float = 0.5
) -> dict[str, float]:
    """AP of each class over these keyframes; NaN for a class without truth in them.

    A class is true where `truth.action` is above 0.5. A NaN score in `found` is no detection,
    nor is a box without area. Rows of both outside the keyframes do not count.
    Raises ValueError when the two tables have different classes.
    """
    if found.classes != truth.classes:
        raise ValueError(f"found has classes {found.classes}, truth {truth.classes}")
    found, truth = _detections(found, keyframes), _inside(truth, keyframes)
    has = truth.action > 0.5
    right = _right(found, truth, found.action, has, min_iou)
    return {
        name: _average_precision(found.action[:, c], right[:, c], int(has[:, c].sum()))
        for c, name in enumerate(found.classes)
    }


def person_ap(
    found: Detections, truth: Detections, keyframes: Keyframes, min_iou: float = 0.5
) -> float:
    """AP of the boxes alone, ranked by `person`, or the best action's score where that is NaN.

    Every row of `truth` is a person. NaN without truth in the keyframes.
    """
    found, truth = _detections(found, keyframes), _inside(truth, keyframes)
    # fmax passes over NaN without a warning; a row with nothing but NaN stays NaN.
    best = np.fmax.reduce(found.action, axis=1, initial=np.nan)
    score = np.where(np.isnan(found.person), best, found.person)[:, None]
    right = _right(found, truth, score, np.ones((len(truth), 1), bool), min_iou)
    return _average_precision(score[:, 0], right[:, 0], len(truth))


def mean_ap(per_class: dict[str, float]) -> float:
    """The mean over the classes that have truth; NaN when none has."""
    known = [value for value in per_class.values() if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _detections(found: Detections, keyframes: Keyframes) -> Detections:
    """The rows in the keyframes whose boxes have an area."""
    found = _inside(found, keyframes)
    return _select(found, np.all(found.box[:, 2:] > found.box[:, :2], axis=1))


def _inside(table: Detections, keyframes: Keyframes) -> Detections:
    here, looked_at = number_frames(table, keyframes)
    return _select(table, np.isin(here, looked_at))


def _select(table: Detections, kept: NDArray[np.bool_]) -> Detections:
    # Mostly all rows stay, and then a copy of a large table is spared.
    return table if kept.all() else table.select(kept)


def _right(
    found: Detections,
    truth: Detections,
    score: NDArray[np.float32],
    has: NDArray[np.bool_],
    min_iou: float,
) -> NDArray[np.bool_]:
    """Which scores [n, c] of `found` are of a box and class that truth has (`has` [m, c])."""
    of_found, of_truth, overlap = _pairs(found, truth)
    near = overlap >= min_iou
    of_found, of_truth, overlap = of_found[near], of_truth[near], overlap[near]
    # A claim is a near pair and one class of its truth. Truth under the threshold can be left
    # out before the best is taken, as it never makes a detection right.
    pair, of_class = np.nonzero(has[of_truth] & ~np.isnan(score[of_found]))
    of_found, of_truth, overlap = of_found[pair], of_truth[pair], overlap[pair]
    best = _first_of(of_class, of_found, np.lexsort((of_truth, -overlap, of_found, of_class)))
    of_found, of_truth, of_class = of_found[best], of_truth[best], of_class[best]
    rank = -score[of_found, of_class]
    wins = _first_of(of_class, of_truth, np.lexsort((of_found, rank, of_truth, of_class)))
    right = np.zeros(score.shape, bool)
    right[of_found[wins], of_class[wins]] = True
    return right


def _first_of(
    a: NDArray[np.intp], b: NDArray[np.intp], order: NDArray[np.intp]
) -> NDArray[np.intp]:
    """The first in `order` of each group of equal (a, b); `order` keeps groups together."""
    new = np.ones(len(order), bool)
    a, b = a[order], b[order]
    new[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return order[new]


def _pairs(
    found: Detections, truth: Detections
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Rows of found and of truth in one frame, and their IoU: three columns, a row a pair."""
    of_found, of_truth = number_frames(found, truth)
    order = np.argsort(of_truth, kind="stable")
    start = np.searchsorted(of_truth[order], of_found, "left")
    count = np.searchsorted(of_truth[order], of_found, "right") - start
    a = np.repeat(np.arange(len(found)), count)
    # Within a detection's pairs the truth rows follow each other from `start`.
    step = np.arange(len(a)) - np.repeat(np.cumsum(count) - count, count)
    b = order[np.repeat(start, count) + step]
    return a, b, _iou(_decimals(found.box)[a], _decimals(truth.box)[b])


def _decimals(box: NDArray[np.float32]) -> NDArray[np.float64]:
    """Float32 boxes as the decimals that a file prints, up to six places.

    AVA's evaluator computes in float64 from the printed decimals; an IoU of just 0.5 falls on
    the same side here, which it would not from float32.
    """
    return np.asarray(np.round(box.astype(np.float64), 6), np.float64)


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU [n] of boxes a and b [n, 4], row by row; a box without area overlaps nothing."""
    side_a, side_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    shared_side = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.maximum(shared_side, 0).prod(1)
    union = side_a.prod(1) + side_b.prod(1) - shared
    sound = (side_a > 0).all(1) & (side_b > 0).all(1)
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=sound))


def _average_precision(score: NDArray[np.float32], right: NDArray[np.bool_], truths: int) -> float:
    """Area under the precision envelope over all recalls (VOC 2010 on, AVA)."""
    if not truths:
        return float("nan")
    scored = np.flatnonzero(~np.isnan(score))
    right = right[scored][np.argsort(-score[scored], kind="stable")]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[right].sum() / truths)
