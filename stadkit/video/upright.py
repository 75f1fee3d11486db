"""Decoded frames -> upright RGB pixels of any size, as players display them."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from stadkit.errors import VideoError
from stadkit.video.frame import Pixels
from stadkit.video.resize import Crop, resized

PLAIN = Interpolation.BILINEAR
# Area averaging for downscaling, bilinear for upscaling. Without accurate rounding and full chroma
# swscale is up to 3 levels off and smears colours.
SCALER = (
    Interpolation.AREA
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


def orientation(frame: Any) -> tuple[bool, bool, bool]:
    """(transpose, flip rows, flip columns), applied in this order to make a stored frame upright.

    From the display matrix [a b u; c d v; x y w]: x' = a x + c y, y' = b x + d y.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(data), "<i4")[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, b < 0, c < 0
    return False, d < 0, a < 0


def to_rgb(
    frame: Any,
    transform: tuple[bool, bool, bool],
    reformatter: VideoReformatter,
    height: int,
    width: int,
) -> Pixels:
    """Upright pixels [height, width, 3] of an av.VideoFrame, using its colour matrix and range."""
    transpose, flip_rows, flip_columns = transform
    w, h = (height, width) if transpose else (width, height)
    # Without resizing, swscale's fast path applies, which skips the slow accurate rounding.
    scaler = PLAIN if (w, h) == (frame.width, frame.height) else SCALER
    try:
        frame = reformatter.reformat(frame, w, h, "rgb24", interpolation=scaler, threads=1)
    except av.FFmpegError as error:
        raise VideoError(
            f"pixel format {frame.format.name} cannot be converted to RGB ({error.strerror}); "
            "convert the video to yuv420p."
        ) from error
    pixels = frame.to_ndarray()
    if transpose:
        pixels = pixels.transpose(1, 0, 2)
    pixels = pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return np.array(pixels, np.uint8, order="C")


def cropped_rgb(
    crop: Crop,
    frame: Any,
    transform: tuple[bool, bool, bool],
    reformatter: VideoReformatter,
    height: int,
    width: int,
) -> Pixels:
    """As `to_rgb`, with the container's crop applied."""
    full = to_rgb(frame, (False, False, False), reformatter, frame.height, frame.width)
    right, bottom = frame.width - crop.right, frame.height - crop.bottom
    transpose, flip_rows, flip_columns = transform
    pixels = full[crop.top : bottom, crop.left : right]
    if transpose:
        pixels = pixels.transpose(1, 0, 2)
    pixels = pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return resized(np.ascontiguousarray(pixels), height, width)
