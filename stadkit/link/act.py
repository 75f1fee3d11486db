"""Tubelets of k frames to tubes, as ACT (Kalogeiton et al. 2017) and MOC (Li et al. 2020) do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stadkit.errors import UsageError
from stadkit.link.averaged import Pieces, averaged
from stadkit.link.greedy import Rules, link_greedily
from stadkit.link.overlap import sides
from stadkit.tubes import Tubelets, Tubes

ACT = Rules(edge=1.0)


def link_act(
    tubelets: Tubelets, sizes: dict[str, tuple[int, int]], rate: float, rules: Rules = ACT
) -> Tubes:
    """The tubes of each class of each video, by video and class.

    `sizes` are height and width in pixels; frame f, counted from 1, is at (f - 1) / `rate`
    seconds. A tube's score is the mean of its tubelets' after soft NMS; its boxes and their
    scores are means over the tubelets that cover the frame. Raises UsageError when `sizes` lacks
    a video.
    """
    scale = pixels_of(tubelets.videos, sizes)
    return to_tubes(link_pieces(tubelets, rules), tubelets, scale, rate)


def pixels_of(videos: Sequence[str], sizes: dict[str, tuple[int, int]]) -> NDArray[np.float64]:
    """Width, height, width, height [v, 4] of these videos; UsageError when one is not listed."""
    lacking = [video for video in videos if video not in sizes]
    if lacking:
        raise UsageError(
            f"no width and height for video {lacking[0]!r} ({len(lacking)} such), and linking"
            " is in pixels; name them by --size WxH or a --truth that lists them"
        )
    return np.array([sizes[video][::-1] * 2 for video in videos], np.float64).reshape(-1, 4)


def link_pieces(tubelets: Tubelets, rules: Rules) -> Pieces:
    """Tubes in the unit of the tubelets; chain v * c + l is class l of c in video v."""
    chain = tubelets.video.astype(np.int64) * len(tubelets.classes) + tubelets.label
    box = sides(tubelets.box)
    linked = link_greedily(chain, tubelets.frame, tubelets.score, box, rules)
    final = np.zeros(len(tubelets.videos), np.int64)
    np.maximum.at(final, tubelets.video, tubelets.frame)
    return averaged(linked, chain, tubelets.frame, box, final[tubelets.video], rules)


def to_tubes(pieces: Pieces, tubelets: Tubelets, scale: NDArray[np.float64], rate: float) -> Tubes:
    """The pieces in seconds and fractions; `scale` [v, 4] is what one frame's sides count."""
    video, label = np.divmod(pieces.chain, max(len(tubelets.classes), 1))
    boxes = np.repeat(scale[video], np.diff(pieces.start), axis=0)
    return Tubes(
        video=np.array(tubelets.videos, np.str_)[video],
        label=label.astype(np.int32),
        score=pieces.score,
        track=np.full(len(video), -1, np.int32),
        start=pieces.start,
        time=(pieces.frame - 1) / rate,
        box=pieces.box / boxes,
        box_score=pieces.box_score,
        interpolated=np.zeros(len(pieces.frame), np.bool_),
        classes=tubelets.classes,
    )
