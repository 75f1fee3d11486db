"""Error analysis: what kind of mistake the wrong detections are, and why truth is missed.

After Hoiem, Chodpathumwan and Dai, "Diagnosing error in object detectors", ECCV 2012: of each
class the best detections are looked at, as many as the class has truth. A detection that is not
right is
- duplicate: on truth of its class that a better detection has, or by its side (IoU at least t);
- localization: near truth of its class (IoU 0.1 to t);
- classification: on truth of another class only (IoU at least t);
- background: none of these.
t is the first IoU threshold. One person does several things, so that "another class" is mostly
what the same person does as well, beside the class that the detection claims.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Keyframes
from stadkit.instances import Instances
from stadkit.metrics.counting import Counted, count_rows
from stadkit.metrics.frame_map import FrameMap
from stadkit.metrics.matching import Ints, best_truth, in_class
from stadkit.metrics.people import changes, same_box

KINDS = ("right", "duplicate", "localization", "classification", "background")
_NEAR = 0.1  # IoU from which a box is about this person
BOXED = 0.5  # IoU from which a person has a box, whatever the threshold


@dataclass(frozen=True)
class Mistakes:
    """Counts over the best detections of each class, over truth, and between classes."""

    min_iou: float
    kinds: NDArray[np.int64]  # [c, 5]  best detections of each class, by KINDS
    missed: NDArray[np.int64]  # [c]     truth that no detection of its class is right on ...
    # ... and of those, truth that no box of any class overlaps by BOXED
    unseen: NDArray[np.int64]  # [c]
    truths: NDArray[np.int64]  # [c]
    # Rows: truth, the last one background. Columns: what the best detections say, the last one
    # truth that is missed. A wrong class is counted at the truth that the box overlaps most, in
    # parts of one where that person does several things.
    confusion: NDArray[np.float64]  # [c + 1, c + 1]
    classes: tuple[str, ...]

    @property
    def shares(self) -> dict[str, float]:
        """The share of each kind of KINDS among the best detections; 0 where there are none."""
        total = max(int(self.kinds.sum()), 1)
        return dict(zip(KINDS, (self.kinds.sum(0) / total).tolist(), strict=True))

    @property
    def worst_pairs(self) -> list[tuple[str, str, float]]:
        """(what it was, what it was said to be, how often), the most often first."""
        between = self.confusion[:-1, :-1].copy()
        np.fill_diagonal(between, 0)
        order = np.argsort(-between, axis=None, kind="stable")
        rows, columns = np.unravel_index(order[: np.count_nonzero(between)], between.shape)
        return [
            (self.classes[i], self.classes[j], float(between[i, j]))
            for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """Shares and counts for machines."""
        missed, unseen = int(self.missed.sum()), int(self.unseen.sum())
        return {
            "iou": self.min_iou,
            "detections": int(self.kinds.sum()),
            **{kind: round(share, 6) for kind, share in self.shares.items()},
            "truth": int(self.truths.sum()),
            "missed": missed,
            "box_iou": BOXED,
            "missed_with_box": missed - unseen,
            "missed_without_box": unseen,
            "confused": [
                {"truth": a, "found": b, "times": round(times, 2)}
                for a, b, times in self.worst_pairs[:10]
            ],
        }


def mistakes(
    found: Instances, truth: Instances, result: FrameMap, excluded: Keyframes | None = None
) -> Mistakes:
    """What went wrong in `result`, which is `frame_map` of these, without the `excluded`."""
    steps = result.steps
    rows = steps.rows if steps else count_rows(found, truth, result.protocol, excluded, None)
    classes = len(result.classes)
    there = np.flatnonzero(rows.truth)
    truths = _count(truth.label[there], classes)
    best = _best_rows(result, truths)
    kind, other = _kinds(found, truth, rows, best, there, result)
    kinds = np.zeros((classes, len(KINDS)), np.int64)
    np.add.at(kinds, (found.label[best], kind), 1)
    missed = _missed(found, truth, rows, there, result)
    unseen = missed[_best_overlap(found, truth, rows, missed, result) < BOXED]
    confused = kind == KINDS.index("classification")
    person = same_box(rows.truth_frame[there], truth.box[there])
    of, deed, part = _deeds(person, truth.label[there], other[confused])
    between = np.zeros((classes, classes))
    np.add.at(between, (deed, found.label[best][confused][of]), part)
    between += np.diag(kinds[:, 0])
    # A duplicate or a loose box says the right class, but not of one more person.
    nobody = kinds[:, 1:].sum(1) - kinds[:, KINDS.index("classification")]
    nothing = _count(truth.label[missed], classes)
    return Mistakes(
        min_iou=result.ious[0],
        kinds=kinds,
        missed=nothing,
        unseen=_count(truth.label[unseen], classes),
        truths=truths,
        confusion=np.block([[between, nothing[:, None]], [nobody, np.zeros(1)]]),
        classes=result.classes,
    )


def _kinds(
    found: Instances,
    truth: Instances,
    rows: Counted,
    best: NDArray[np.intp],
    there: NDArray[np.intp],
    result: FrameMap,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Of each best row its place in KINDS, and its nearest truth of any class (in `there`).

    The nearest is -1 where it was not asked for: only far from truth of its class it matters.
    """
    min_iou = result.ious[0]
    kind = np.zeros(len(best), np.int64)
    other = np.full(len(best), -1, np.int32)
    wrong = np.flatnonzero(~result.right[0, best])
    own_iou = best_truth(
        _group(rows.found_frame, found, best[wrong]),
        _group(rows.truth_frame, truth, there),
        found.box[best[wrong]],
        truth.box[there],
    )[1]
    kind[wrong] = np.where(own_iou >= min_iou, 1, 2)
    far = wrong[(own_iou < min_iou) & (own_iou < _NEAR)]
    at = best[far]
    other[far], other_iou = best_truth(
        rows.found_frame[at], rows.truth_frame[there], found.box[at], truth.box[there]
    )
    kind[far] = np.where(other_iou >= min_iou, 3, 4)
    return kind, other


def _count(label: NDArray[np.int32], classes: int) -> Ints:
    return np.bincount(label, minlength=classes).astype(np.int64)


def _best_rows(result: FrameMap, truths: Ints) -> NDArray[np.intp]:
    """Of each class the best rows, as many as it has truth."""
    parts = [rows[:count] for rows, count in zip(result.ranking, truths.tolist(), strict=True)]
    return np.concatenate([np.zeros(0, np.intp), *parts])


def _group(frame: Ints, table: Instances, rows: NDArray[np.intp]) -> Ints:
    """A number for each of these rows, equal where frame and class are."""
    return in_class(frame[rows], table.label[rows], len(table.classes))


def _missed(
    found: Instances, truth: Instances, rows: Counted, there: NDArray[np.intp], result: FrameMap
) -> NDArray[np.intp]:
    """The rows of truth that no right detection has."""
    right = np.flatnonzero(result.right[0])
    if result.steps:
        left = np.ones(len(truth), bool)
        left[result.steps.best[right]] = False
        return there[left[there]]
    taken = best_truth(
        _group(rows.found_frame, found, right),
        _group(rows.truth_frame, truth, there),
        found.box[right],
        truth.box[there],
    )[0]
    return np.delete(there, taken[taken >= 0])  # ACT is right where edges only touch


def _best_overlap(
    found: Instances, truth: Instances, rows: Counted, missed: NDArray[np.intp], result: FrameMap
) -> NDArray[np.floating[Any]]:
    """The IoU of each of these rows of truth with the nearest box of any class."""
    counted = np.flatnonzero(result.counted)
    # Rows of one box mostly follow each other: one of them is enough.
    columns = (rows.found_frame[counted], *(side[counted] for side in found.box.T))
    new = counted[changes(columns)]
    return best_truth(
        rows.truth_frame[missed], rows.found_frame[new], truth.box[missed], found.box[new]
    )[1]


def _deeds(
    person: NDArray[np.intp], label: NDArray[np.int32], row: NDArray[np.int32]
) -> tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.float64]]:
    """All that the people of these rows of truth do: (place in `row`, class, part of one)."""
    order = np.argsort(person, kind="stable")
    count = np.bincount(person, minlength=1)
    start = np.cumsum(count) - count
    mine = person[row]
    of = np.repeat(np.arange(len(row)), count[mine])
    step = np.arange(len(of)) - np.repeat(np.cumsum(count[mine]) - count[mine], count[mine])
    return of, label[order[start[mine][of] + step]], 1 / count[mine][of]
