"""Smoothing along tracks of any length, with time steps of any size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.link.kalman import Floats

REACH = 3.0  # of the Gaussian, in its widths


def smooth(
    values: Floats, time: Floats, length: NDArray[np.intp], width: float, line: bool
) -> Floats:
    """Local means of values [T, n, d] at times [T, n] s, `width` the Gaussian's in seconds.

    Only the first `length` [n] steps of each column count. `line` fits a line instead, which
    follows what moves evenly, at the ends too.
    """
    reach = _steps(time, length, width)
    if not reach:
        return values
    inside = np.arange(len(values))[:, None] < length
    s0, s1, s2 = (np.zeros(time.shape) for _ in range(3))
    v0, v1 = np.zeros_like(values), np.zeros_like(values)
    for step in range(-reach, reach + 1):
        to = slice(max(-step, 0), len(values) - max(step, 0))
        of = slice(max(step, 0), len(values) - max(-step, 0))
        away = (time[of] - time[to]) / width
        weight = np.exp(-0.5 * away * away) * inside[of]
        s0[to] += weight
        v0[to] += weight[..., None] * values[of]
        if line:
            s1[to] += weight * away
            s2[to] += weight * away * away
            v1[to] += (weight * away)[..., None] * values[of]
    if not line:
        return v0 / np.maximum(s0, 1e-12)[..., None]
    spread = s0 * s2 - s1 * s1
    sure = spread > 1e-6 * np.maximum(s0, 1e-12) ** 2  # a line needs two times
    fit = (s2[..., None] * v0 - s1[..., None] * v1) / np.where(sure, spread, 1.0)[..., None]
    return np.asarray(np.where((sure & inside)[..., None], fit, values))


def _steps(time: Floats, length: NDArray[np.intp], width: float) -> int:
    """How many steps to each side can weigh anything; 0 where all neighbours are too far."""
    gaps = np.diff(time, axis=0)[np.arange(len(time) - 1)[:, None] < length - 1]
    gaps = gaps[gaps > 0]
    if not width or not len(gaps) or gaps.min() > REACH * width:
        return 0
    return min(int(REACH * width / np.median(gaps)) + 1, len(time) - 1)
