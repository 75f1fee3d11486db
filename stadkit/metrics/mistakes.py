"""Error analysis: kinds of wrong detections, and why truth is missed.

After Hoiem, Chodpathumwan and Dai, "Diagnosing error in object detectors", ECCV 2012: for each
class, the top detections are analysed, as many as the class has truth. A wrong detection is
- duplicate: IoU at least t with truth of its class that a better one has taken, or beside it;
- localization: IoU 0.1 to t with truth of its class;
- classification: IoU at least t only with truth of another class;
- background: none of these.
t is the first IoU threshold. A person performs several actions, so "another class" is mostly
another action of the same person.
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
from stadkit.metrics.matching import Ints, best_truth, changes, in_class, same_box

KINDS = ("right", "duplicate", "localization", "classification", "background")
_LOCALIZATION_IOU = 0.1  # minimum IoU of a localization error
BOXED = 0.5  # IoU at which a person counts as having a box, at any threshold


@dataclass(frozen=True)
class Mistakes:
    """Counts over the top detections of each class, over truth, and between classes."""

    min_iou: float
    kinds: NDArray[np.int64]  # [c, 5]  top detections of each class, by KINDS
    missed: NDArray[np.int64]  # [c]     truth without a right detection of its class ...
    # ... and of those, truth that no box of any class overlaps by BOXED
    missed_without_box: NDArray[np.int64]  # [c]
    truths: NDArray[np.int64]  # [c]
    # Rows: truth, then background. Columns: class of the top detections, then missed truth. A
    # wrong class counts at the truth of largest IoU, split evenly over that person's actions.
    confusion: NDArray[np.float64]  # [c + 1, c + 1]
    classes: tuple[str, ...]

    @property
    def shares(self) -> dict[str, float]:
        """The share of each kind of KINDS among the top detections; 0 without detections."""
        total = max(int(self.kinds.sum()), 1)
        return dict(zip(KINDS, (self.kinds.sum(0) / total).tolist(), strict=True))

    @property
    def worst_pairs(self) -> list[tuple[str, str, float]]:
        """(true class, found class, count), most frequent first."""
        between = self.confusion[:-1, :-1].copy()
        np.fill_diagonal(between, 0)
        order = np.argsort(-between, axis=None, kind="stable")
        rows, columns = np.unravel_index(order[: np.count_nonzero(between)], between.shape)
        return [
            (self.classes[i], self.classes[j], float(between[i, j]))
            for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return shares and counts as a JSON object."""
        missed, missed_without_box = int(self.missed.sum()), int(self.missed_without_box.sum())
        return {
            "iou": self.min_iou,
            "detections": int(self.kinds.sum()),
            **{kind: round(share, 6) for kind, share in self.shares.items()},
            "truth": int(self.truths.sum()),
            "missed": missed,
            "box_iou": BOXED,
            "missed_with_box": missed - missed_without_box,
            "missed_without_box": missed_without_box,
            "confused": [
                {"truth": a, "found": b, "times": round(times, 2)}
                for a, b, times in self.worst_pairs[:10]
            ],
        }


def mistakes(
    found: Instances, truth: Instances, result: FrameMap, excluded: Keyframes | None = None
) -> Mistakes:
    """Analyse the errors of `result`, the `frame_map` of found and truth without `excluded`."""
    steps = result.steps
    rows = steps.rows if steps else count_rows(found, truth, result.protocol, excluded, None)
    classes = len(result.classes)
    truth_rows = np.flatnonzero(rows.truth)
    truths = _count(truth.label[truth_rows], classes)
    best = _best_rows(result, truths)
    kind, other = _kinds(found, truth, rows, best, truth_rows, result)
    kinds = np.zeros((classes, len(KINDS)), np.int64)
    np.add.at(kinds, (found.label[best], kind), 1)
    missed = _missed(found, truth, rows, truth_rows, result)
    missed_without_box = missed[_best_overlap(found, truth, rows, missed, result) < BOXED]
    confused = kind == KINDS.index("classification")
    person = same_box(rows.truth_frame[truth_rows], truth.box[truth_rows])
    of, action, weight = _actions(person, truth.label[truth_rows], other[confused])
    between = np.zeros((classes, classes))
    np.add.at(between, (action, found.label[best][confused][of]), weight)
    between += np.diag(kinds[:, 0])
    # Duplicates and localization errors have the right class, but match no further person.
    on_background = kinds[:, 1:].sum(1) - kinds[:, KINDS.index("classification")]
    missed_count = _count(truth.label[missed], classes)
    return Mistakes(
        min_iou=result.ious[0],
        kinds=kinds,
        missed=missed_count,
        missed_without_box=_count(truth.label[missed_without_box], classes),
        truths=truths,
        confusion=np.block([[between, missed_count[:, None]], [on_background, np.zeros(1)]]),
        classes=result.classes,
    )


def _kinds(
    found: Instances,
    truth: Instances,
    rows: Counted,
    best: NDArray[np.intp],
    truth_rows: NDArray[np.intp],
    result: FrameMap,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the KINDS index of each top row, and its nearest truth of any class (in `there`).

    The nearest truth is computed only for rows far from truth of their class; -1 elsewhere.
    """
    min_iou = result.ious[0]
    kind = np.zeros(len(best), np.int64)
    other = np.full(len(best), -1, np.int32)
    wrong = np.flatnonzero(~result.right[0, best])
    class_iou = best_truth(
        _group(rows.found_frame, found, best[wrong]),
        _group(rows.truth_frame, truth, truth_rows),
        found.box[best[wrong]],
        truth.box[truth_rows],
    )[1]
    kind[wrong] = np.where(class_iou >= min_iou, 1, 2)
    far = wrong[(class_iou < min_iou) & (class_iou < _LOCALIZATION_IOU)]
    at = best[far]
    other[far], other_iou = best_truth(
        rows.found_frame[at], rows.truth_frame[truth_rows], found.box[at], truth.box[truth_rows]
    )
    kind[far] = np.where(other_iou >= min_iou, 3, 4)
    return kind, other


def _count(label: NDArray[np.int32], classes: int) -> Ints:
    return np.bincount(label, minlength=classes).astype(np.int64)


def _best_rows(result: FrameMap, truths: Ints) -> NDArray[np.intp]:
    """Return the top rows of each class, as many as it has truth."""
    parts = [rows[:count] for rows, count in zip(result.ranking, truths.tolist(), strict=True)]
    return np.concatenate([np.zeros(0, np.intp), *parts])


def _group(frame: Ints, table: Instances, rows: NDArray[np.intp]) -> Ints:
    """Number these rows by frame and class."""
    return in_class(frame[rows], table.label[rows], len(table.classes))


def _missed(
    found: Instances,
    truth: Instances,
    rows: Counted,
    truth_rows: NDArray[np.intp],
    result: FrameMap,
) -> NDArray[np.intp]:
    """Return the truth rows without a right detection."""
    right = np.flatnonzero(result.right[0])
    if result.steps:
        left = np.ones(len(truth), bool)
        left[result.steps.best[right]] = False
        return truth_rows[left[truth_rows]]
    taken = best_truth(
        _group(rows.found_frame, found, right),
        _group(rows.truth_frame, truth, truth_rows),
        found.box[right],
        truth.box[truth_rows],
    )[0]
    return np.delete(truth_rows, taken[taken >= 0])  # ACT can match boxes that only touch


def _best_overlap(
    found: Instances, truth: Instances, rows: Counted, missed: NDArray[np.intp], result: FrameMap
) -> NDArray[np.floating[Any]]:
    """Return the largest IoU of each of these truth rows with a box of any class."""
    counted = np.flatnonzero(result.counted)
    # Rows of one box are mostly adjacent: one of them is enough.
    columns = (rows.found_frame[counted], *(side[counted] for side in found.box.T))
    new = counted[changes(columns)]
    return best_truth(
        rows.truth_frame[missed], rows.found_frame[new], truth.box[missed], found.box[new]
    )[1]


def _actions(
    person: NDArray[np.intp], label: NDArray[np.int32], row: NDArray[np.int32]
) -> tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.float64]]:
    """Return all actions of the people of these truth rows: (index into `row`, class, weight)."""
    order = np.argsort(person, kind="stable")
    count = np.bincount(person, minlength=1)
    start = np.cumsum(count) - count
    people = person[row]
    of = np.repeat(np.arange(len(row)), count[people])
    step = np.arange(len(of)) - np.repeat(np.cumsum(count[people]) - count[people], count[people])
    return of, label[order[start[people][of] + step]], 1 / count[people][of]
