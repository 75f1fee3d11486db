"""Pictures at another size."""

from __future__ import annotations

import numpy as np

from stadkit.video.frame import Pixels

LONGEST = 8  # the long side is at most this many short sides, so that a thin strip fits memory


def resized_shape(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """(height, width) of a frame resized to a short side; the long side at most 8 times that."""
    scale = min(short_side / min(size), LONGEST * short_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """A copy of pixels [H, W, 3] at another size: areas averaged when it shrinks."""
    import cv2

    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.array(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
