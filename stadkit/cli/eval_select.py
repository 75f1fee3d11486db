"""The part of the truth that a score is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stadkit.metrics.evaluate import EvaluationSide


def only_videos(found: EvaluationSide, truth: EvaluationSide) -> EvaluationSide:
    """The truth of the videos that found has or, where that is known, looked at."""
    videos = {found.claims.videos[i] for i in np.unique(found.claims.video).tolist()}
    videos |= set() if found.looked is None else set(found.looked.video.tolist())
    here = np.array([video in videos for video in truth.claims.videos], bool)
    return _part(truth, here[truth.claims.video], videos)


def only_keyframes(found: EvaluationSide, truth: EvaluationSide) -> EvaluationSide:
    """The truth of the keyframes that found has detections in or, where that is known, looked at.

    Its tubes stay as they are.
    """
    from stadkit.metrics.matching import frames_of

    tables = [found.claims] + ([] if found.looked is None else [found.looked])
    true, *mine = frames_of(truth.claims, *tables)
    return _part(truth, np.isin(true, np.concatenate(mine)), None)


def _part(
    truth: EvaluationSide, rows: NDArray[np.bool_], videos: set[str] | None
) -> EvaluationSide:
    """These rows of truth, and the tubes of these videos; all of it where that is nothing."""
    if not rows.any():  # `check` is to say why, and wants both as they are
        return truth
    tubes = truth.tubes
    if tubes is not None and videos is not None:
        tubes = tubes.select(np.isin(tubes.video, np.array(sorted(videos), np.str_)))
    return replace(truth, claims=truth.claims.select(rows), tubes=tubes)
