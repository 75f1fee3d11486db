"""Faults of tubes, of tubelets, and of rows read from an array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from stadkit.files.faults import Faults, Floats, Place, Rows, faults_of, wrong_boxes
from stadkit.instances import Instances
from stadkit.tubes import Tubelets, Tubes


def faults_of_tubes(path: Path, tubes: Tubes, truth: bool) -> Faults:
    """Count tubes with an invalid box or score; AnnotationError for an invalid truth box."""
    score, tube_score = tubes.box_score, tubes.score[tubes.owner]
    # Either may be outside 0..1.
    score = np.where((tube_score < 0) | (tube_score > 1), tube_score, score)
    wrong = wrong_boxes(tuple(tubes.box.T), score)
    by_owner = {
        kind: np.bincount(tubes.owner[mask], minlength=len(tubes)) > 0
        for kind, mask in wrong.items()
    }
    return faults_of(path, by_owner, truth, "tube", _tube_namer(tubes))


def faults_of_tubelets(path: Path, tubelets: Tubelets, box: Floats) -> Faults:
    """Count tubelets [n] with an invalid box or score; box [n k, 4] are in fractions."""
    n, k = len(tubelets), tubelets.length
    wrong = wrong_boxes(tuple(box.T), np.repeat(tubelets.score, k))
    by_owner: dict[str, Rows] = {
        kind: np.asarray(mask.reshape(n, k).any(1)) for kind, mask in wrong.items()
    }

    def place(row: int) -> Place:
        return f"{tubelets.videos[tubelets.video[row]]}, frame {tubelets.frame[row]}"

    return faults_of(path, by_owner, False, "tubelet", place)


def faults_of_rows(path: Path, rows: Instances) -> Faults:
    """Count found rows, numbered from 0, with an invalid box or score."""
    return faults_of(path, wrong_boxes(tuple(rows.box.T), rows.score), False, "row", int)


def _tube_namer(tubes: Tubes) -> Callable[[int], Place]:
    """Name a tube by its index in its video, from 0, as the JSON reader counts them."""

    def place(row: int) -> Place:
        video = tubes.video[row]
        return f"{video}, tube {int((tubes.video[:row] == video).sum())}"

    return place
