"""Whether the boxes of shared frames meet, and their actions and scores are what they should be."""

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

_HARDLY = 0.02  # of the boxes of truth: what boxes in a wrong unit overlap by chance
_LOOKED_AT = 2000  # frames whose boxes are compared: enough to know, and quick


def check_boxes(
    found: Instances,
    truth: Instances,
    keys: list[NDArray[np.int64]],
    shared: NDArray[np.int64],
    files: str,
    ids: Sequence[int] | None,
) -> list[str]:
    """Notes on boxes and actions that hardly meet, an error where no box meets another.

    `keys` [n] and [m] are the frames of the rows, -1 for one that does not count, `shared` those
    that both have, `files` names both and `ids` [c] are the classes' numbers in them.
    """
    looked_at = shared[:: -(-len(shared) // _LOOKED_AT)]
    rows = [np.flatnonzero(np.isin(key, looked_at)) for key in keys]
    frame, box = [keys[i][rows[i]] for i in (0, 1)], (found.box[rows[0]], truth.box[rows[1]])

    def near(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float((best_truth(frame[1], frame[0], b, a)[1] >= 0.5).mean())

    best, overlap = best_truth(frame[0], frame[1], *box)
    why, sure = mismatch.why_boxes(*box, near)
    if sure and near(*box) < _HARDLY:
        _raise_boxes("hardly any", box, files, why)
    if not (overlap > 0).any() and _never_meet(found, truth, keys):
        _raise_boxes("no", box, files, why)
    if sure:
        return [f"few boxes overlap; {why}"]
    at = np.flatnonzero(overlap >= 0.5)
    said, was = found.label[rows[0]][at], truth.label[rows[1]][best[at]]
    named = (said >= 0) & (was >= 0)
    at, number = at[named], np.arange(len(found.classes)) if ids is None else np.asarray(ids)
    score = found.score[rows[0]][at]
    why = mismatch.why_labels(number[said[named]], number[was[named]], score, best[at])
    return [why] if why else []


def _raise_boxes(how_many: str, boxes: tuple[Boxes, Boxes], files: str, why: str) -> NoReturn:
    found, truth = (
        # Rows of one box follow each other: of some hundred there are three to show.
        some(list(dict.fromkeys(" ".join(f"{s:g}" for s in box) for box in part[:300].tolist())))
        for part in boxes
    )
    raise NothingMatchedError(
        f"{files} have {how_many} overlapping boxes: found has {found}; truth has {truth}"
        + because(why, "boxes are x1, y1, x2, y2 in fractions of the frame")
    )


def check_scores(found: Instances) -> list[str]:
    """A note on detections that all have one score, as those without a column of scores do."""
    if len(found) < 2 or not (found.score == found.score[0]).all():
        return []
    return [
        f"all detections have score {found.score[0]:g}, so that their order in the file decides; "
        "is there no column of scores?"
    ]


def _never_meet(found: Instances, truth: Instances, keys: list[NDArray[np.int64]]) -> bool:
    """Whether no box of all the frames, not only of those looked at, overlaps another."""
    a, b = (np.flatnonzero(key >= 0) for key in keys)
    overlap = best_truth(keys[0][a], keys[1][b], found.box[a], truth.box[b])[1]
    return not (overlap > 0).any()
