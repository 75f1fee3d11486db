"""Estimate pseudo-label quality: hide labelled keyframes, label them, and compare with truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, Keyframes, number_frames
from stadkit.errors import NothingMatchedError, UsageError
from stadkit.tla.baselines import match_people
from stadkit.tla.block import People
from stadkit.tla.labelling import Labelled, Notes, pseudo_label
from stadkit.tla.neighbours import Cuts
from stadkit.tla.options import LabellingOptions

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class CheckReport:
    """Pseudo labels of hidden keyframes against truth: (person, class) counts per class."""

    right: Counts  # [c]  assigned, and true of the person at IoU 0.5 or more
    wrong: Counts  # [c]  assigned, but not true of a matched person
    missed: Counts  # [c]  true, but not assigned
    people: int  # truth people at the hidden keyframes
    people_found: int  # of these, people with a labelled box at IoU 0.5 or more
    keyframes: int  # hidden keyframes
    classes: tuple[str, ...]  # [c]
    thresholds: NDArray[np.float64] | None  # [c]  of "per-class"
    notes: Notes

    @property
    def precision(self) -> float:
        """Share of the assigned labels that are right; 0 without assigned labels."""
        return _share(self.right, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Share of the true labels that are assigned; 0 without true labels."""
        return _share(self.right, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, pooled over all classes."""
        return _share(2 * self.right, 2 * self.right + self.wrong + self.missed)

    def by_class(self) -> dict[str, dict[str, float]]:
        """Map class to {"precision", "recall", "f1", "labels"}, for classes in truth or labels.

        "labels" counts the true labels.
        """
        rows = zip(self.classes, self.right, self.wrong, self.missed, strict=True)
        return {
            name: {
                "precision": _share(right, right + wrong),
                "recall": _share(right, right + missed),
                "f1": _share(2 * right, 2 * right + wrong + missed),
                "labels": int(right + missed),
            }
            for name, right, wrong, missed in rows
            if right + wrong + missed
        }

    def to_json(self) -> dict[str, Any]:
        """Return metrics, counts, "classes" (`by_class`), "thresholds" by class, and "notes"."""
        fitted = [] if self.thresholds is None else self.thresholds.tolist()
        thresholds = {n: t for n, t in zip(self.classes, fitted, strict=False) if t == t}  # not NaN
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "labels": int((self.right + self.missed).sum()),
            "labels_given": int((self.right + self.wrong).sum()),
            "labels_right": int(self.right.sum()),
            "people": self.people,
            "people_found": self.people_found,
            "keyframes": self.keyframes,
            "classes": self.by_class(),
            "thresholds": None if self.thresholds is None else thresholds,
            "notes": self.notes.to_json(),
        }


def check(
    found: Detections,
    truth: Detections,
    keyframes: Keyframes | None = None,
    options: LabellingOptions | None = None,
    cuts: Cuts | None = None,
) -> CheckReport:
    """Hide every second labelled keyframe of each video, label it, and compare with its truth.

    Takes `pseudo_label`'s arguments; found must have rows at the labelled keyframes. The first
    keyframe of a video is kept, the second is hidden, and so on. Labelled boxes and people are
    matched one to one at IoU 0.5 or more, maximizing the sum of IoU.
    Raises UsageError when no video has two labelled keyframes, NothingMatchedError when found has
    no rows at hidden keyframes (except for "interpolate", which needs no detections).
    """
    options = options or LabellingOptions()
    kept, hidden = every_second(_labelled_keyframes(truth, keyframes))
    of_found, of_truth, of_kept, of_hidden = number_frames(found, truth, kept, hidden)
    seen = np.isin(of_found, of_hidden)
    _check_usable(hidden, bool(seen.any()) or options.strategy == "interpolate")
    known = truth.select(np.isin(of_truth, of_kept))
    used = found.select(seen | np.isin(of_found, of_kept))
    labels = pseudo_label(used, known, kept, options, cuts, hidden)
    return compare(labels, truth.select(np.isin(of_truth, of_hidden)), hidden)


def every_second(labelled: Keyframes) -> tuple[Keyframes, Keyframes]:
    """Split sorted keyframes into (kept, hidden) alternately; each video's first is kept."""
    first = np.ones(len(labelled), bool)
    first[1:] = labelled.video[1:] != labelled.video[:-1]
    place = np.arange(len(labelled))
    turn = (place - np.maximum.accumulate(np.where(first, place, 0))) % 2
    kept, hidden = (np.flatnonzero(turn == which) for which in (0, 1))
    return (
        Keyframes(labelled.video[kept], labelled.time[kept]),
        Keyframes(labelled.video[hidden], labelled.time[hidden]),
    )


def _labelled_keyframes(truth: Detections, keyframes: Keyframes | None) -> Keyframes:
    """Return the unique labelled keyframes, sorted by video and time."""
    truth_keyframes = Keyframes.of(truth)
    if keyframes is None:
        return truth_keyframes
    video = np.concatenate([truth_keyframes.video, keyframes.video])
    both = Keyframes(video, np.concatenate([truth_keyframes.time, keyframes.time]))
    (number,) = number_frames(both)
    once = np.unique(number, return_index=True)[1]
    return Keyframes(both.video[once], both.time[once])


def _check_usable(hidden: Keyframes, found: bool) -> None:
    if not len(hidden):
        raise UsageError(
            "the check hides every second labelled keyframe, but no video has two; "
            "label a second keyframe"
        )
    if not found:
        raise NothingMatchedError(
            f"no detections at the {len(hidden):,} labelled keyframes that the check hides; "
            "run detection at labelled keyframes too, with the same video ids and times as truth"
        )


def compare(labels: Labelled, truth: Detections, hidden: Keyframes) -> CheckReport:
    """Compare labels at hidden keyframes with their truth; both tables have rows only there."""
    of_given, of_truth, of_hidden = number_frames(labels.table, truth, hidden)
    place = np.searchsorted(of_hidden, np.concatenate([of_given, of_truth]))
    labelled = People.of(labels.table, place[: len(of_given)], len(hidden))
    people = People.of(truth, place[len(of_given) :], len(hidden))
    box, person = match_people(labelled, people)
    right = ((labelled.score[box] > 0.5) & (people.score[person] > 0.5)).sum(0)
    return CheckReport(
        right.astype(np.int64),
        (labelled.score > 0.5).sum(0) - right,
        (people.score > 0.5).sum(0) - right,
        len(people.row),
        len(box),
        len(hidden),
        truth.classes,
        labels.thresholds,
        labels.notes,
    )


def _share(part: Any, whole: Any) -> float:
    """Return the ratio of the sums; 0 for 0 / 0."""
    return float(np.sum(part) / max(int(np.sum(whole)), 1))
