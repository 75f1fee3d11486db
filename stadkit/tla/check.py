"""How good labels would be: hide labelled keyframes, label them, and compare."""

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
from stadkit.tla.options import Options

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Check:
    """Labels of hidden keyframes against truth: (person, class) pairs, a count a class."""

    right: Counts  # [c]  given, and the person of IoU 0.5 or more does it
    wrong: Counts  # [c]  given, and nobody there does it
    missed: Counts  # [c]  done by somebody, and not given
    people: int  # of truth at the hidden keyframes
    people_found: int  # of them, with a labelled box of IoU 0.5 or more
    keyframes: int  # hidden
    classes: tuple[str, ...]  # [c]
    thresholds: NDArray[np.float64] | None  # [c]  of "per-class"
    notes: Notes

    @property
    def precision(self) -> float:
        """Share of the labels given that are right; 0 where none is given."""
        return _share(self.right, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Share of the true labels that are given; 0 where there are none."""
        return _share(self.right, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall over all classes' pairs together."""
        return _share(2 * self.right, 2 * self.right + self.wrong + self.missed)

    def by_class(self) -> dict[str, dict[str, float]]:
        """Class -> {"precision", "recall", "f1", "labels"}; only classes truth or labels have.

        "labels" are the true ones.
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
        """precision, recall, f1, counts, "classes" (`by_class`), "thresholds" by class, "notes"."""
        fitted = [] if self.thresholds is None else self.thresholds.tolist()
        given = {n: t for n, t in zip(self.classes, fitted, strict=False) if t == t}  # not NaN
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
            "thresholds": None if self.thresholds is None else given,
            "notes": self.notes.to_json(),
        }


def check(
    found: Detections,
    truth: Detections,
    keyframes: Keyframes | None = None,
    options: Options | None = None,
    cuts: Cuts | None = None,
) -> Check:
    """Hide every second labelled keyframe of each video, label it, and compare with its truth.

    The arguments are `pseudo_label`'s; found has rows at the labelled keyframes. The first
    keyframe of a video stays, the second is hidden, and so on. A labelled box and a person are
    paired one to one where their IoU is 0.5 or more, so that the sum of IoU is largest.
    Raises UsageError where no video has two labelled keyframes, NothingMatchedError where found
    has nobody at any hidden one (but for "interpolate", which needs nobody found).
    """
    options = options or Options()
    kept, hidden = every_second(_all(truth, keyframes))
    of_found, of_truth, of_kept, of_hidden = number_frames(found, truth, kept, hidden)
    seen = np.isin(of_found, of_hidden)
    _check_there(hidden, bool(seen.any()) or options.strategy == "interpolate")
    known = truth.select(np.isin(of_truth, of_kept))
    looked = found.select(seen | np.isin(of_found, of_kept))
    given = pseudo_label(looked, known, kept, options, cuts, hidden)
    return compare(given, truth.select(np.isin(of_truth, of_hidden)), hidden)


def every_second(labelled: Keyframes) -> tuple[Keyframes, Keyframes]:
    """(kept, hidden) of keyframes by video and time: the first of a video is kept."""
    first = np.ones(len(labelled), bool)
    first[1:] = labelled.video[1:] != labelled.video[:-1]
    place = np.arange(len(labelled))
    turn = (place - np.maximum.accumulate(np.where(first, place, 0))) % 2
    kept, hidden = (np.flatnonzero(turn == which) for which in (0, 1))
    return (
        Keyframes(labelled.video[kept], labelled.time[kept]),
        Keyframes(labelled.video[hidden], labelled.time[hidden]),
    )


def _all(truth: Detections, keyframes: Keyframes | None) -> Keyframes:
    """The labelled keyframes, each once, by video and time."""
    own = Keyframes.of(truth)
    if keyframes is None:
        return own
    video = np.concatenate([own.video, keyframes.video])
    both = Keyframes(video, np.concatenate([own.time, keyframes.time]))
    (number,) = number_frames(both)
    once = np.unique(number, return_index=True)[1]
    return Keyframes(both.video[once], both.time[once])


def _check_there(hidden: Keyframes, found: bool) -> None:
    if not len(hidden):
        raise UsageError(
            "a check hides every second labelled keyframe, and no video has two of them; "
            "label a second keyframe"
        )
    if not found:
        raise NothingMatchedError(
            f"nobody was found at any of the {len(hidden):,} labelled keyframes that a check "
            "hides; detect at labelled keyframes too, with the same ids and times as truth"
        )


def compare(given: Labelled, truth: Detections, hidden: Keyframes) -> Check:
    """Labels at hidden keyframes against their truth; both tables have rows at these only."""
    of_given, of_truth, of_hidden = number_frames(given.table, truth, hidden)
    place = np.searchsorted(of_hidden, np.concatenate([of_given, of_truth]))
    labelled = People.of(given.table, place[: len(of_given)], len(hidden))
    people = People.of(truth, place[len(of_given) :], len(hidden))
    box, person = match_people(labelled, people)
    right = ((labelled.score[box] > 0.5) & (people.score[person] > 0.5)).sum(0)
    return Check(
        right.astype(np.int64),
        (labelled.score > 0.5).sum(0) - right,
        (people.score > 0.5).sum(0) - right,
        len(people.row),
        len(box),
        len(hidden),
        truth.classes,
        given.thresholds,
        given.notes,
    )


def _share(part: Any, whole: Any) -> float:
    """The share of the sums; 0 of nothing."""
    return float(np.sum(part) / max(int(np.sum(whole)), 1))
