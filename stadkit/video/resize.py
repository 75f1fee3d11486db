"""Resizing of frames."""

from __future__ import annotations

from typing import Literal

import numpy as np

from stadkit.video.frame import Pixels

# Downscaling: area averaging, or bilinear, which lets small objects flicker but is what some
# released weights were trained on. Both upscale bilinearly.
Resizing = Literal["area", "linear"]

MAX_ASPECT = 8  # maximum ratio of the target sides, so that a thin strip fits in memory


def resized_shape(size: tuple[int, int], short_side: int, long_side: int = 0) -> tuple[int, int]:
    """(height, width) of a frame resized to a short side.

    The long side is limited to `long_side`, and half pixels are rounded up (as in detectron2's
    ResizeShortestEdge); with 0 it is limited to 8 short sides, and half pixels round to even.
    """
    if long_side:
        return _within(size, short_side, long_side)
    scale = min(short_side / min(size), MAX_ASPECT * short_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _within(size: tuple[int, int], short_side: int, long_side: int) -> tuple[int, int]:
    # Two steps as in detectron2, the short side exact after the first, for identical rounding.
    scale = short_side / min(size)
    high, wide = (short_side if side == min(size) else scale * side for side in size)
    again = min(1.0, long_side / max(high, wide))
    return max(1, int(high * again + 0.5)), max(1, int(wide * again + 0.5))


def resized(pixels: Pixels, height: int, width: int, how: Resizing = "area") -> Pixels:
    """A resized copy of pixels [H, W, 3]; "linear" also rounds to integer levels."""
    import cv2

    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    flag = cv2.INTER_AREA if shrinks and how == "area" else cv2.INTER_LINEAR
    return np.array(cv2.resize(pixels, (width, height), interpolation=flag), np.uint8)
