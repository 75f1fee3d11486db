"""Tubelets of clips that overlap -> one row a person and frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stadkit.detections import Detections, milliseconds
from stadkit.link.chains import Sights, chained


def joined(found: Detections) -> Detections:
    """Tubelets of one video put together where they overlap in time and place.

    Rows that share a `track` of 0 or more are one tubelet. Afterwards all those of one person
    share a track, each frame once: box and scores are the means of the tubelets that tell of it.
    By time, then track. Scores must be known: NaN stays only where no tubelet has a number.
    """
    frame = np.unique(milliseconds(found.time), return_inverse=True)[1].reshape(-1)
    order = np.lexsort((found.track, frame))
    given = found.select(order)
    sights, row = chained(
        Sights(
            frame=frame[order],
            box=given.box.astype(np.float64),
            rank=given.person.astype(np.float64),
            score=given.action.astype(np.float64),
            chain=given.track.astype(np.intp),
        )
    )
    first = np.full(len(sights.frame), len(row))
    np.minimum.at(first, row, np.arange(len(row)))
    return replace(
        given.select(first),
        box=sights.box.astype(np.float32),
        person=sights.rank.astype(np.float32),
        action=sights.score.astype(np.float32),
        track=sights.chain.astype(np.int32),
    )
