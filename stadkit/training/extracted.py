"""Clips from extracted frames: image files, sorted by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stadkit.errors import VideoError
from stadkit.video.clips import Clip, Cut
from stadkit.video.resize import resized


def clips_from_frames(
    folder: Path, cut: Cut, times: NDArray[np.float64], rate: float
) -> Iterator[Clip]:
    """Clips from image files, sorted by name, the first at second 0, `rate` a second.

    As with videos, times more than half a frame outside (and `cut.past`) give no clip.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not files:
        raise VideoError(f"{folder}: holds no .jpg or .png frames")
    for time in times:
        if not -0.5 <= time * rate <= len(files) - 0.5 + cut.past * rate:
            continue
        wanted = time + (np.arange(cut.frames) - cut.key) * cut.stride
        numbers = np.clip(np.rint(wanted * rate), 0, len(files) - 1).astype(int)
        frames = {number: _image(files[number]) for number in set(numbers.tolist())}
        height, width = frames[int(numbers[0])].shape[:2]
        small = {number: shrink(frame, cut) for number, frame in frames.items()}
        pixels = np.stack([small[int(number)] for number in numbers])
        yield Clip(folder.name, pixels, float(time), numbers / rate, (height, width))


def _image(path: Path) -> NDArray[np.uint8]:
    """RGB [H, W, 3] of an image file."""
    image = cv2.imread(str(path))
    if image is None:
        raise VideoError(f"{path}: is not a readable image")
    return np.asarray(image[..., ::-1], np.uint8)


def shrink(frame: NDArray[np.uint8], cut: Cut) -> NDArray[np.uint8]:
    """A frame [H, W, 3] resized as a cut says."""
    height, width = cut.shape((frame.shape[0], frame.shape[1]))
    return resized(np.ascontiguousarray(frame), height, width, cut.resize)
