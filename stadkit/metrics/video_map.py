"""Video mAP: average precision of tubes by the MultiSports and the ACT/MOC protocols.

Both visit the tubes of a class in order of descending score, ties in row order.

"multisports" (and mmaction2): a tube is matched to the truth of its video with the largest
overlap (ties: the first). It is right when the overlap reaches the threshold and no better tube
has that truth. AP is the area under the precision envelope.

"act" (and MOC): of tubes with overlap above 0.3, only the best is kept. A matched truth is
removed, so a later tube can take its next best one. AP is the trapezoidal area under the
precision-recall points, in float32, from precision 1 at recall 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Ints, greedy_match, join_equal, run_starts
from stadkit.errors import UsageError
from stadkit.metrics.ranking import average_precision, known_mean, trapezoid_precision
from stadkit.metrics.tube_overlap import TubeTracks, tube_nms, tube_overlap
from stadkit.tubes import Tubes

RANGES: dict[str, tuple[float, ...]] = {
    "0.5:0.95": tuple(round(0.5 + 0.05 * i, 2) for i in range(10)),
    "0.1:0.9": tuple(round(0.1 + 0.1 * i, 2) for i in range(9)),
    "0.05:0.45": tuple(round(0.05 + 0.05 * i, 2) for i in range(9)),
}
THRESHOLDS: tuple[float, ...] = tuple(
    sorted({0.2, 0.5, 0.75, *(value for values in RANGES.values() for value in values)})
)
TUBE_PROTOCOLS = ("multisports", "act")
NO_SIZES = (
    "protocol act works in pixels, but the truth has no video sizes; "
    "pass a GT.pkl, or choose --protocol multisports"
)
NMS_OVERLAP = 0.3  # "act": maximum overlap of two kept tubes

# MultiSports excludes these from its means: they hardly occur in its test set.
UNSCORED = (
    "aerobic kick jump",
    "aerobic off axis jump",
    "aerobic butterfly jump",
    "aerobic balance turn",
    "basketball save",
    "basketball jump ball",
)


@dataclass(frozen=True)
class VideoMap:
    """Average precision of n tubes over c classes at k thresholds."""

    protocol: str
    thresholds: tuple[float, ...]  # [k]
    ap: NDArray[np.float64]  # [k, c]  NaN: no truth, or not scored
    right: NDArray[np.bool_]  # [k, n]
    counted: NDArray[np.bool_]  # [n]  False: suppressed by a better tube, or class not scored
    truths: Ints  # [c]
    detections: Ints  # [c]  counted tubes
    unscored: tuple[str, ...]  # classes that the protocol excludes
    classes: tuple[str, ...]

    def mean(self, threshold: float) -> float:
        """mAP at a computed threshold (else ValueError); NaN when no class has truth."""
        if threshold not in self.thresholds:
            raise ValueError(f"threshold {threshold} was not computed; have {self.thresholds}")
        return known_mean(self.ap[self.thresholds.index(threshold)])

    def summary(self) -> dict[str, float]:
        """mAP by name: 0.2, 0.5, 0.75 and the ranges whose thresholds were computed."""
        return {name: known_mean(ap) for name, ap in self.per_class().items()}

    def per_class(self) -> dict[str, NDArray[np.float64]]:
        """AP [c] by the names of `summary`; NaN for a class without truth or not scored."""
        place = {value: k for k, value in enumerate(self.thresholds)}
        named = {f"{value:g}": (value,) for value in (0.2, 0.5, 0.75)} | RANGES
        return {
            name: self.ap[[place[value] for value in values]].mean(0)
            for name, values in named.items()
            if place.keys() >= set(values)
        }


def video_map(
    found: Tubes,
    truth: Tubes,
    *,
    sizes: dict[str, tuple[int, int]] | None,
    rate: float,
    protocol: str = "multisports",
    thresholds: Sequence[float] = THRESHOLDS,
) -> VideoMap:
    """Compute the AP of each class at each tube overlap threshold.

    `sizes`: height and width in pixels of each video; None compares boxes in fractions, which
    "act" does not support. `rate`: frames a second.
    Raises UsageError for an invalid protocol, sizes or rate, ValueError when classes differ.
    """
    if found.classes != truth.classes:
        raise ValueError(f"found has classes {found.classes}, truth {truth.classes}")
    if protocol not in TUBE_PROTOCOLS:
        raise UsageError(
            f"unknown video protocol {protocol!r}; choose {' or '.join(TUBE_PROTOCOLS)}"
        )
    if protocol == "act" and sizes is None:
        raise UsageError(NO_SIZES)
    act = protocol == "act"
    edge = 1.0 if act else 0.0
    tracks, true_tracks = TubeTracks.of(found, rate, sizes), TubeTracks.of(truth, rate, sizes)
    group, true_group = _groups(found, truth)
    unscored = () if act else _unscored(truth.classes)
    excluded = np.array([name in unscored for name in truth.classes], bool)
    counted = ~excluded[found.label]
    if act:
        counted &= tube_nms(tracks, group, found.score, NMS_OVERLAP, edge)
    i, j = join_equal(group, true_group)
    i, j = i[counted[i]], j[counted[i]]
    rank = np.argsort(np.argsort(-found.score, kind="stable"))
    pairs = _Pairs.of(i, j, rank, tube_overlap(tracks, true_tracks, i, j, edge))
    right = np.zeros((len(thresholds), len(found)), bool)
    for row, threshold in enumerate(thresholds):
        right[row, pairs.taken(threshold) if act else pairs.claimed(threshold)] = True
    truths = np.where(excluded, 0, np.bincount(truth.label, minlength=len(excluded)))
    return VideoMap(
        protocol=protocol,
        thresholds=tuple(thresholds),
        ap=_precision(found, right, counted, truths, act),
        right=right,
        counted=counted,
        truths=np.bincount(truth.label, minlength=len(excluded)),
        detections=np.bincount(found.label[counted], minlength=len(excluded)),
        unscored=unscored,
        classes=truth.classes,
    )


def _groups(found: Tubes, truth: Tubes) -> tuple[Ints, Ints]:
    """Number the tubes [n] and [m] by video and class."""
    video = np.unique(np.concatenate([found.video, truth.video]), return_inverse=True)[1]
    group = video * len(truth.classes) + np.concatenate([found.label, truth.label])
    return group[: len(found)], group[len(found) :]


def _unscored(classes: tuple[str, ...]) -> tuple[str, ...]:
    return UNSCORED if set(UNSCORED) <= set(classes) else ()


@dataclass(frozen=True)
class _Pairs:
    """(tube, truth) pairs of one video and class; sorted by tube score, then by overlap."""

    found: Ints  # [p]
    truth: Ints  # [p]
    rank: Ints  # [p]  rank of the tube by score
    overlap: NDArray[np.float64]  # [p]

    @classmethod
    def of(cls, found: Ints, truth: Ints, rank: Ints, overlap: NDArray[np.float64]) -> _Pairs:
        order = np.lexsort((truth, -overlap, rank[found]))
        return cls(found[order], truth[order], rank[found][order], overlap[order])

    def claimed(self, threshold: float) -> Ints:
        """Return the tubes that are right when each can only take its best truth."""
        best = np.flatnonzero(run_starts(self.rank))
        best = best[self.overlap[best] >= threshold]
        return self.found[best[np.unique(self.truth[best], return_index=True)[1]]]

    def taken(self, threshold: float) -> Ints:
        """Return the tubes that are right when each takes its best remaining truth."""
        close = np.flatnonzero(self.overlap >= threshold)
        return self.found[close[greedy_match(self.rank[close], self.truth[close])]]


def _precision(
    found: Tubes,
    right: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    truths: Ints,
    trapezoid: bool,
) -> NDArray[np.float64]:
    """Compute AP [k, c] from `right` [k, n] over the counted tubes [n]."""
    area = trapezoid_precision if trapezoid else average_precision
    ap = np.full((len(right), len(truths)), np.nan)
    for label, total in enumerate(truths.tolist()):
        rows = np.flatnonzero(counted & (found.label == label))
        rows = rows[np.argsort(-found.score[rows], kind="stable")]
        ap[:, label] = [area(part, total) for part in right[:, rows]]
    return ap
