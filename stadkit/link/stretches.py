"""When a person does what: scores along tracks, cut into stretches of each class.

A two-state Viterbi path for each track and class: a keyframe in a stretch earns what its score
is above the threshold, times its seconds; starting or ending one costs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.link.kalman import Floats

Mask = NDArray[np.bool_]
PEAK = 0.5  # a class is on where its score is above this part of its best on the track


def active(score: Floats, seconds: Floats, present: Mask, min_score: float, switch: float) -> Mask:
    """Which classes are on at which keyframes of which tracks, [T, n, c].

    score [T, n, c]; seconds [T, n] that each keyframe stands for; present [T, n]: where anything
    can be on; switch: seconds of full score that a start and an end cost together.
    """
    inside = present[..., None]
    peak = np.where(inside, score, 0.0).max(0, initial=0.0)  # [n, c]
    gain = (score - np.maximum(PEAK * peak, min_score)) * seconds[..., None]
    on = best_path(np.where(inside, gain, -np.inf), switch * peak / 2)
    return np.asarray(on & (peak >= min_score))


def best_path(gain: Floats, cost: Floats) -> Mask:
    """The on/off paths of most gain: gain [T, ...] of being on, cost [...] of each change.

    Off before the first step and after the last. Of equal paths, one that changes early.
    """
    stay_on, stay_off = np.ones(gain.shape, bool), np.ones(gain.shape, bool)
    on, off = np.full(gain.shape[1:], -np.inf), np.zeros(gain.shape[1:])
    for t in range(len(gain)):
        begin, end = off - cost, on - cost
        stay_on[t], stay_off[t] = on >= begin, off >= end
        on, off = np.maximum(on, begin) + gain[t], np.maximum(off, end)
    path = np.zeros(gain.shape, bool)
    state = on - cost > off
    for t in range(len(gain) - 1, -1, -1):
        path[t] = state
        state = np.where(state, stay_on[t], ~stay_off[t])
    return path
