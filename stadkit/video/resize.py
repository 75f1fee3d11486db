"""Pictures at another size."""

from __future__ import annotations

from typing import Literal

import numpy as np

from stadkit.video.frame import Pixels

# How a picture shrinks: areas averaged, or a mean of the 4 nearest pixels, which lets small
# things flicker but is what some released weights were trained on. Both enlarge the same.
Resizing = Literal["area", "linear"]

LONGEST = 8  # the long side is at most this many short sides, so that a thin strip fits memory


def resized_shape(size: tuple[int, int], short_side: int, long_side: int = 0) -> tuple[int, int]:
    """(height, width) of a frame resized to a short side.

    The long side becomes at most `long_side`, and halves of a pixel are rounded up (as
    detectron2's ResizeShortestEdge); with 0 at most 8 short sides, and halves go to even.
    """
    if long_side:
        return _within(size, short_side, long_side)
    scale = min(short_side / min(size), LONGEST * short_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _within(size: tuple[int, int], short_side: int, long_side: int) -> tuple[int, int]:
    # In detectron2's two steps, the short side exact after the first: other roundings differ.
    scale = short_side / min(size)
    high, wide = (short_side if side == min(size) else scale * side for side in size)
    again = min(1.0, long_side / max(high, wide))
    return max(1, int(high * again + 0.5)), max(1, int(wide * again + 0.5))


def resized(pixels: Pixels, height: int, width: int, how: Resizing = "area") -> Pixels:
    """A copy of pixels [H, W, 3] at another size; "linear" rounds to whole levels too."""
    import cv2

    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    flag = cv2.INTER_AREA if shrinks and how == "area" else cv2.INTER_LINEAR
    return np.array(cv2.resize(pixels, (width, height), interpolation=flag), np.uint8)
