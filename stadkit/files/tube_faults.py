"""What is wrong in tubes, in tubelets, and in rows that came as an array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from stadkit.files.faults import Faults, Floats, Place, Rows, faults_of, wrong_boxes
from stadkit.instances import Instances
from stadkit.tubes import Tubelets, Tubes


def faults_of_tubes(path: Path, tubes: Tubes, truth: bool) -> Faults:
    """Tubes with a wrong box or score; AnnotationError for a true tube with a box that is none."""
    score, own = tubes.box_score, tubes.score[tubes.owner]
    # Either may be outside 0..1.
    score = np.where((own < 0) | (own > 1), own, score)
    wrong = wrong_boxes(tuple(tubes.box.T), score)
    owned = {
        kind: np.bincount(tubes.owner[mask], minlength=len(tubes)) > 0
        for kind, mask in wrong.items()
    }
    return faults_of(path, owned, truth, "tube", _tube(tubes))


def faults_of_tubelets(path: Path, tubelets: Tubelets, box: Floats) -> Faults:
    """Tubelets [n] with a wrong box or score; box [n k, 4] are theirs in fractions."""
    n, k = len(tubelets), tubelets.length
    wrong = wrong_boxes(tuple(box.T), np.repeat(tubelets.score, k))
    owned: dict[str, Rows] = {
        kind: np.asarray(mask.reshape(n, k).any(1)) for kind, mask in wrong.items()
    }

    def place(row: int) -> Place:
        return f"{tubelets.videos[tubelets.video[row]]}, frame {tubelets.frame[row]}"

    return faults_of(path, owned, False, "tubelet", place)


def faults_of_rows(path: Path, rows: Instances) -> Faults:
    """Found rows with a wrong box or score, counted from 0."""
    return faults_of(path, wrong_boxes(tuple(rows.box.T), rows.score), False, "row", int)


def _tube(tubes: Tubes) -> Callable[[int], Place]:
    """Says which of its video's tubes one is, from 0, as the reader of JSON counts them."""

    def place(row: int) -> Place:
        video = tubes.video[row]
        return f"{video}, tube {int((tubes.video[:row] == video).sum())}"

    return place
