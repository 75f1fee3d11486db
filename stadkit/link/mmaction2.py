"""Boxes of single frames to tubes, as mmaction2's MultiSports evaluation does."""

from __future__ import annotations

import numpy as np

from stadkit.claims import Claims
from stadkit.link.act import link_pieces, pixels_of, to_tubes
from stadkit.link.greedy import Rules
from stadkit.tubes import Tubelets, Tubes

MMACTION2 = Rules()


def link_mmaction2(
    found: Claims,
    rate: float,
    sizes: dict[str, tuple[int, int]] | None = None,
    rules: Rules = MMACTION2,
    *,
    last_score: bool = False,
) -> Tubes:
    """The tubes of each class of each video, by video and class; one missed frame ends a tube.

    The time of `found` is brought to the nearest frame at `rate` frames a second. Rows with
    label -1 are passed over. Boxes are compared in pixels by `sizes`, height and width of each
    video, else in fractions, which gives the same but for an overlap of just the threshold.
    Raises UsageError when `sizes` lacks a video.

    mmaction2, as its numbers in the tests were made, gave every box the score of the last row, a
    fault by which all tubes are equally good. `last_score` does so too, to compare with it.
    """
    found = found.select(found.label >= 0)
    score = found.score
    if last_score:
        # As a decimal, which float32 files do not hold: the tubes' order hangs on the last bit.
        score = np.full(len(found), np.round(score[-1:], 6))
    scale = np.ones((len(found.videos), 4)) if sizes is None else pixels_of(found.videos, sizes)
    tubelets = Tubelets(
        videos=found.videos,
        video=found.video,
        frame=np.rint(found.time * rate).astype(np.int64) + 1,
        label=found.label,
        score=score,
        # A pixel that became a fraction is no round number when it comes back.
        box=np.round(found.box * scale[found.video], 6)[:, None],
        classes=found.classes,
    )
    return to_tubes(link_pieces(tubelets, rules), tubelets, scale, rate)
