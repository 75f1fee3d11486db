"""Shot boundary detection: hard cuts, from colour histograms.

Each frame is described by the colour histograms of its four quarters. At a cut each of the three
frames before differs from each of the three after, much more than neighbours on one side do, so
neither fast motion nor a flash counts. Dissolves and fades over several frames, and shots of
fewer than three frames, are not detected.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from stadkit.video.frame import Frame, Pixels, Video

HEIGHT, WIDTH = 36, 48  # pixels of the frames compared
BINS = 8  # per channel
SIDE = 3  # frames compared on each side of a cut
LAGS = 2 * SIDE - 1  # maximum lag between frames on both sides
MIN_DIFFERENCE = 0.1  # histogram difference across a cut, 0..1
MIN_RATIO = 3.0  # of the difference across a cut to that between neighbours on one side


def shot_changes(video: Video, until: float = np.inf) -> NDArray[np.float64]:
    """Times of the cuts [k] in an open video, ascending seconds, midway between two frames.

    Frames after `until` seconds are not read. One pass at a small size; memory grows by only a
    few bytes per frame.
    """
    frames = takewhile(lambda frame: frame.time <= until, video)
    rows = np.fromiter(_differences(frames), [("time", "f8"), ("lags", "f4", LAGS)])
    time, first = rows["time"], np.flatnonzero(is_cut(rows["lags"]))  # first frame of each shot
    return np.asarray((time[first - 1] + time[first]) / 2, np.float64)


def colours(pixels: Pixels) -> NDArray[np.float32]:
    """Colour histograms of pixels [H, W, 3]: shares [4 quarters, 3 channels, BINS].

    A value between the centres of two bins is shared by both, so that a flicker of a few levels
    makes a small difference.
    """
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    position = pixels.astype(np.float32) * ((BINS - 1) / 255)
    low = np.minimum(position.astype(np.intp), BINS - 2)
    upper = position - low
    quarter = (np.arange(2 * height) // height * 2)[:, None] + np.arange(2 * width) // width
    bins = (quarter[..., None] * 3 + np.arange(3)) * BINS + low[: 2 * height, : 2 * width]
    upper = upper[: 2 * height, : 2 * width].ravel()
    size = 4 * 3 * BINS
    shares = np.bincount(bins.ravel(), 1 - upper, size)
    shares += np.bincount(bins.ravel() + 1, upper, size)
    return np.asarray(shares.reshape(4, 3, BINS) / (height * width), np.float32)


def difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Difference of two histograms from `colours`, 0..1."""
    return float(np.abs(a - b).sum(-1).mean() / 2)


def is_cut(lags: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether a shot begins at each frame [n].

    lags [n, LAGS]: a frame's difference from each of the LAGS frames before it, latest first; NaN
    before the start of the video.
    """
    n = len(lags)
    padded = np.full((n + 2 * SIDE, LAGS), np.nan, np.float32)
    padded[SIDE : SIDE + n] = lags

    def at(later: int, lag: int) -> NDArray[np.float32]:
        """[n]: difference of the frame `later` frames on from the one `lag` before it."""
        return padded[SIDE + later : SIDE + later + n, lag - 1]

    across = [at(j, i + j) for i in range(1, SIDE + 1) for j in range(SIDE)]
    along = [at(j, 1) for j in range(1 - SIDE, SIDE) if j]
    min_across = np.fmin.reduce(across, axis=0)  # NaN only at the first frame
    max_along = np.fmax.reduce([np.zeros(n, np.float32), *along], axis=0)
    return np.asarray((min_across >= MIN_DIFFERENCE) & (min_across >= MIN_RATIO * max_along))


def _differences(frames: Iterator[Frame]) -> Iterator[tuple[float, list[float]]]:
    """Time and differences from the LAGS frames before, for each frame; NaN before the start."""
    before: deque[NDArray[np.float32]] = deque(maxlen=LAGS)  # latest first
    for frame in frames:
        now = colours(frame.rgb(HEIGHT, WIDTH))
        lags = [difference(now, earlier) for earlier in before]
        yield frame.time, lags + [np.nan] * (LAGS - len(lags))
        before.appendleft(now)
