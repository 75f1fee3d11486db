"""Where one shot ends and the next begins: hard cuts, seen from the colours of the frames.

A frame is described by how much of each colour is in each of its quarters. At a cut the three
frames before differ from the three after, each from each, and much more than neighbours on one
side do. So neither fast motion nor a flash is one. A dissolve or fade, over several frames, is
not found, nor a cut to a shot of fewer than three frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from stadkit.video.frame import Frame, Pixels, Video

HEIGHT, WIDTH = 36, 48  # pixels looked at
BINS = 8  # of each channel
SIDE = 3  # frames before a cut and after it
LAGS = 2 * SIDE - 1  # frames from the first of them to the last
LEAST = 0.1  # share of the colour, 0..1, that must be another
TIMES = 3.0  # as much as between neighbours on one side


def shot_changes(video: Video, until: float = np.inf) -> NDArray[np.float64]:
    """The cuts [k] of an open video, rising seconds, each midway between the two frames it is
    between; frames after `until` seconds are not read.

    One pass at a small size; memory does not grow by more than some bytes a frame.
    """
    frames = takewhile(lambda frame: frame.time <= until, video)
    seen = np.fromiter(_differences(frames), [("time", "f8"), ("lags", "f4", LAGS)])
    time, first = seen["time"], np.flatnonzero(is_cut(seen["lags"]))  # of a shot
    return np.asarray((time[first - 1] + time[first]) / 2, np.float64)


def colours(pixels: Pixels) -> NDArray[np.float32]:
    """What colours there are in pixels [H, W, 3]: shares [4 quarters, 3 channels, BINS].

    A value between the middles of two bins counts for both, so that a flicker of a few levels
    stays a small difference.
    """
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    place = pixels.astype(np.float32) * ((BINS - 1) / 255)
    low = np.minimum(place.astype(np.intp), BINS - 2)
    upper = place - low
    quarter = (np.arange(2 * height) // height * 2)[:, None] + np.arange(2 * width) // width
    bins = (quarter[..., None] * 3 + np.arange(3)) * BINS + low[: 2 * height, : 2 * width]
    upper = upper[: 2 * height, : 2 * width].ravel()
    size = 4 * 3 * BINS
    shares = np.bincount(bins.ravel(), 1 - upper, size)
    shares += np.bincount(bins.ravel() + 1, upper, size)
    return np.asarray(shares.reshape(4, 3, BINS) / (height * width), np.float32)


def difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The share of colour, 0..1, that is another, of two that `colours` gave."""
    return float(np.abs(a - b).sum(-1).mean() / 2)


def is_cut(lags: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether a shot begins at each frame [n]; lags [n, LAGS]: its difference from the one before
    it, the one before that and so on, NaN where the video has none.
    """
    n = len(lags)
    padded = np.full((n + 2 * SIDE, LAGS), np.nan, np.float32)
    padded[SIDE : SIDE + n] = lags

    def at(later: int, lag: int) -> NDArray[np.float32]:
        """[n]: of the frame so many later from the one `lag` before that."""
        return padded[SIDE + later : SIDE + later + n, lag - 1]

    across = [at(j, i + j) for i in range(1, SIDE + 1) for j in range(SIDE)]
    along = [at(j, 1) for j in range(1 - SIDE, SIDE) if j]
    least = np.fmin.reduce(across, axis=0)  # NaN only where there is no frame before
    most = np.fmax.reduce([np.zeros(n, np.float32), *along], axis=0)
    return np.asarray((least >= LEAST) & (least >= TIMES * most))


def _differences(frames: Iterator[Frame]) -> Iterator[tuple[float, list[float]]]:
    """Of each frame its time and its differences from the LAGS frames before, NaN for none."""
    before: deque[NDArray[np.float32]] = deque(maxlen=LAGS)  # the latest first
    for frame in frames:
        now = colours(frame.rgb(HEIGHT, WIDTH))
        lags = [difference(now, earlier) for earlier in before]
        yield frame.time, lags + [np.nan] * (LAGS - len(lags))
        before.appendleft(now)
