"""Frame mAP: average precision of boxes with actions, by each protocol.

Per class, detections are visited in order of descending score; see `ranking.py` for ties. Each
can only match the truth of its class and frame with the largest IoU (ties: the first): it is
right when the IoU reaches the threshold and no earlier detection has that truth, else wrong. It
never falls back to its second-best truth. `protocols.py` lists how evaluators differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Keyframes
from stadkit.instances import Instances
from stadkit.metrics.counting import Counted, Protocol, count_rows, protocol_of
from stadkit.metrics.matching import best_truth, first_claims, in_class, people
from stadkit.metrics.ranking import Orders, average_precision, known_mean, orders


@dataclass(frozen=True)
class Steps:
    """Intermediate results of an AP, for reuse by the error analysis."""

    rows: Counted
    best: NDArray[np.int32]  # [n]  truth row of largest IoU; -1: none


@dataclass(frozen=True)
class FrameMap:
    """Frame AP of c classes at k IoU thresholds, and the outcome of each row of `found` [n]."""

    protocol: Protocol
    ious: tuple[float, ...]  # [k]
    ap: NDArray[np.float64]  # [k, c]  NaN: no truth, or undetected where the protocol says so
    right: NDArray[np.bool_]  # [k, n]  False for rows that do not count
    counted: NDArray[np.bool_]  # [n]
    truths: NDArray[np.int64]  # [c]
    detections: NDArray[np.int64]  # [c]     counted rows
    recall: NDArray[np.float64]  # [k, c]  NaN: no truth
    classes: tuple[str, ...]
    # The counted rows of each class, best first, with ties as ranked for AP.
    ranking: tuple[NDArray[np.intp], ...] = field(repr=False, compare=False)
    steps: Steps | None = field(default=None, repr=False, compare=False)

    @property
    def mean(self) -> float:
        """Mean AP over thresholds and classes with an AP; NaN without any."""
        return known_mean(self.ap)

    @property
    def per_class(self) -> dict[str, float]:
        """AP of each class, averaged over the thresholds."""
        return dict(zip(self.classes, self.ap.mean(0).tolist(), strict=True))


def frame_map(
    found: Instances,
    truth: Instances,
    *,
    protocol: str | Protocol = "ava",
    ious: Sequence[float] = (0.5,),
    excluded: Keyframes | None = None,
    only: Keyframes | None = None,
    cap: int | None = None,
) -> FrameMap:
    """Compute the frame mAP; rows without a class or with a NaN score do not count.

    `excluded` frames do not count, nor do frames missing from `only`. `cap` replaces the
    protocol's cap; 0 removes it. Inverted boxes in `found` never count.
    Raises UsageError for an unknown protocol, ValueError when classes of found and truth differ,
    or for thresholds not above 0.
    """
    if found.classes != truth.classes:
        raise ValueError(f"found has classes {found.classes}, truth {truth.classes}")
    if not ious or min(ious) <= 0:
        raise ValueError(f"IoU thresholds are {tuple(ious)}; wants one or more, above 0")
    rules = protocol_of(protocol).with_cap(cap)
    rows = count_rows(found, truth, rules, excluded, only)
    both = orders(found, truth, rows, rules)
    right, best = _right(found, truth, rows, both, rules, ious)
    return _result(found, truth, Steps(rows, best), tuple(both.ranking), right, rules, ious)


def person_ap(
    found: Instances,
    truth: Instances,
    *,
    protocol: str | Protocol = "ava",
    ious: Sequence[float] = (0.5,),
    excluded: Keyframes | None = None,
    only: Keyframes | None = None,
    cap: int | None = None,
) -> FrameMap:
    """Compute the AP of boxes alone, as class "person": each unique box, by its best score.

    Rows without a class count here, in both tables. Of the rows of a box, only the best one
    counts. Raises as `frame_map` does.
    """
    found_people, row = people(found)
    truth_people, _ = people(truth)
    result = frame_map(
        found_people,
        truth_people,
        protocol=protocol,
        ious=ious,
        excluded=excluded,
        only=only,
        cap=cap,
    )
    right, counted = np.zeros((len(ious), len(found)), bool), np.zeros(len(found), bool)
    right[:, row], counted[row] = result.right, result.counted
    ranking = tuple(row[of_class] for of_class in result.ranking)
    return replace(result, right=right, counted=counted, ranking=ranking, steps=None)


def group_means(result: FrameMap, groups: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """Average the AP over the classes of each group; NaN when none has an AP.

    Names that are not among the result's classes are ignored.
    """
    names = np.array(result.classes, np.str_)
    return {
        group: known_mean(result.ap[:, np.isin(names, np.array(members, np.str_))])
        for group, members in groups.items()
    }


def _right(
    found: Instances,
    truth: Instances,
    rows: Counted,
    both: Orders,
    rules: Protocol,
    ious: Sequence[float],
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Mark the right rows of found at each threshold [k, n]; also return their best truth [n]."""
    classes, matchable, counted = len(found.classes), np.flatnonzero(rows.truth), rows.found
    dtype = np.float32 if rules.float32 else np.float64
    best, overlap = best_truth(
        np.where(counted, in_class(rows.found_frame, found.label, classes), -1),
        in_class(rows.truth_frame[matchable], truth.label[matchable], classes),
        found.box.astype(dtype, copy=False),
        truth.box[matchable].astype(dtype, copy=False),
    )
    parts = (claims[best[claims] >= 0] for claims in both.claims)
    claim_order = np.concatenate([np.zeros(0, np.intp), *parts])
    right = np.zeros((len(ious), len(found)), bool)
    for k, threshold in enumerate(ious):
        right[k, first_claims(best, claim_order[overlap[claim_order] >= threshold])] = True
    matched = best >= 0
    best[matched] = matchable[best[matched]]
    return right, best


def _result(
    found: Instances,
    truth: Instances,
    steps: Steps,
    ranking: tuple[NDArray[np.intp], ...],
    right: NDArray[np.bool_],
    rules: Protocol,
    ious: Sequence[float],
) -> FrameMap:
    rows = steps.rows
    truths = np.bincount(truth.label[rows.truth | rows.missed], minlength=len(truth.classes))
    detections = np.array([len(of_class) for of_class in ranking], np.int64)
    ap, recall = (np.full((len(ious), len(truths)), np.nan) for _ in range(2))
    for c, of_class in enumerate(ranking):
        if not truths[c]:
            continue
        for k in range(len(ious)):
            hits = right[k, of_class]
            recall[k, c] = hits.sum() / truths[c]
            ap[k, c] = average_precision(hits, int(truths[c]))
    ap[:, (truths > 0) & (detections == 0)] = rules.undetected
    return FrameMap(
        protocol=rules,
        ious=tuple(ious),
        ap=ap,
        right=right,
        counted=rows.found,
        truths=truths.astype(np.int64),
        detections=detections,
        recall=recall,
        classes=found.classes,
        ranking=ranking,
        steps=steps,
    )
