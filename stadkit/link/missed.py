"""How often people who are there are missed, and so which gaps of their tracks are misses.

A detector that misses many leaves gaps in everybody's track, and a tube goes on over them. One
that misses nobody has a gap only where somebody is hidden or gone, and a tube ends there. So the
gaps of a video are counted by length: those beyond what comes of people who are away are misses,
short ones mostly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]

# How often somebody is away for just k keyframes: of keyframes at which it was seen, by their
# interval in seconds, and less for longer.
AWAY, LASTS = 0.07, 1.0  # a second; seconds
# A detector not yet seen at work: the share that it misses, as if counted at so many keyframes.
MISSED, COUNTED = 0.3, 8.0


def longest_miss(track: NDArray[np.int32], frame: Rows, interval: float, most: int) -> int:
    """Keyframes in a row at which somebody is rather missed than away.

    From tracks [p] of the people seen at keyframes [p], `interval` seconds apart.

    Gaps of more than `most` keyframes are no misses.
    """
    order = np.lexsort((frame, track))
    step = np.diff(frame[order])[np.diff(track[order]) == 0]
    count = np.bincount(step[step <= most + 1], minlength=most + 2)[1:]
    k = np.arange(1, most + 1)
    away = AWAY * interval * np.exp(-k * interval / LASTS)
    gaps, seen = np.maximum(count[1:] - away * count[0], 0), float(count[0])
    gaps += COUNTED * (1 - MISSED) * MISSED**k
    seen += COUNTED * (1 - MISSED)
    # Who is missed once is missed again by a chance of its own, as misses may come in bursts.
    again = 1 - gaps.sum() / (gaps @ k)
    missed = gaps.sum() / (gaps.sum() + seen) * (1 - again) * again ** (k - 1)
    return int(np.logical_and.accumulate(missed >= away).sum())
