"""Sanity checks of boxes, actions and scores at the frames that found and truth share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from stadkit.errors import NothingMatchedError
from stadkit.instances import Instances
from stadkit.metrics import mismatch
from stadkit.metrics.matching import best_truth
from stadkit.metrics.mismatch import because, some

Boxes = NDArray[np.float64]

_CHANCE_OVERLAP = 0.02  # share of truth boxes that boxes in a wrong unit overlap by chance
_MAX_FRAMES = 2000  # frames whose boxes are compared: enough to be sure, and fast


def check_boxes(
    found: Instances,
    truth: Instances,
    keys: list[NDArray[np.int64]],
    shared: NDArray[np.int64],
    files: str,
    ids: Sequence[int] | None,
) -> list[str]:
    """Return notes when boxes or actions hardly match; raise when no boxes overlap.

    `keys` [n] and [m]: the frames of the rows, -1: does not count; `shared`: the common frames;
    `files`: names of both files; `ids` [c]: the class ids in the files.
    """
    sampled = shared[:: -(-len(shared) // _MAX_FRAMES)]
    rows = [np.flatnonzero(np.isin(key, sampled)) for key in keys]
    frame, box = [keys[i][rows[i]] for i in (0, 1)], (found.box[rows[0]], truth.box[rows[1]])

    def near(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float((best_truth(frame[1], frame[0], b, a)[1] >= 0.5).mean())

    best, overlap = best_truth(frame[0], frame[1], *box)
    why, sure = mismatch.why_boxes(*box, near)
    if sure and near(*box) < _CHANCE_OVERLAP:
        _raise_boxes("hardly any", box, files, why)
    if not (overlap > 0).any() and _never_meet(found, truth, keys):
        _raise_boxes("no", box, files, why)
    if sure:
        return [f"few boxes overlap; {why}"]
    at = np.flatnonzero(overlap >= 0.5)
    found_label, true_label = found.label[rows[0]][at], truth.label[rows[1]][best[at]]
    named = (found_label >= 0) & (true_label >= 0)
    at, number = at[named], np.arange(len(found.classes)) if ids is None else np.asarray(ids)
    score = found.score[rows[0]][at]
    pair = number[found_label[named]], number[true_label[named]]
    why = mismatch.why_labels(*pair, score, best[at])
    return [why] if why else []


def _raise_boxes(how_many: str, boxes: tuple[Boxes, Boxes], files: str, why: str) -> NoReturn:
    found, truth = (
        # Rows of one box are adjacent: 300 rows hold at least three boxes to show.
        some(list(dict.fromkeys(" ".join(f"{s:g}" for s in box) for box in part[:300].tolist())))
        for part in boxes
    )
    raise NothingMatchedError(
        f"{files} have {how_many} overlapping boxes: found has {found}; truth has {truth}"
        + because(why, "boxes must be x1, y1, x2, y2 in fractions of the frame")
    )


def check_scores(found: Instances) -> list[str]:
    """Return a note when all detections have the same score, as without a score column."""
    if len(found) < 2 or not (found.score == found.score[0]).all():
        return []
    return [
        f"all detections have score {found.score[0]:g}, so they are ranked in file order; check "
        "that the file has a score column"
    ]


def _never_meet(found: Instances, truth: Instances, keys: list[NDArray[np.int64]]) -> bool:
    """Whether no boxes overlap in any shared frame, not only in the sampled ones."""
    a, b = (np.flatnonzero(key >= 0) for key in keys)
    overlap = best_truth(keys[0][a], keys[1][b], found.box[a], truth.box[b])[1]
    return not (overlap > 0).any()
