"""Sorting whole numbers, equal ones in the order of their rows, as fast as NumPy does it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def stable_order(numbers: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """The rows [n] from the smallest number up; equal numbers keep their order."""
    return np.argsort(_small(numbers), kind="stable")


def _small(numbers: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    # NumPy sorts 16 bits by counting, several times faster.
    low, high = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    for dtype in (np.uint16, np.int16):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return numbers.astype(dtype)
    return numbers
