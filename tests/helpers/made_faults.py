"""Films of a bright rectangle, and the model that finds it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor, nn

from stadkit.models import Outputs

BOX = (0.25, 0.125, 0.5, 0.75)  # x1 y1 x2 y2 of the rectangle, fractions of the stored frame


def film(
    path: Path,
    codec: str = "libx264",
    *,
    width: int = 128,
    height: int = 96,
    frames: int = 10,
    rate: int = 10,
    pixel_format: str = "yuv420p",
    rotation: int = 0,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A film [height, width] as stored, black but for the rectangle; gives its path."""
    pixels = np.zeros((height, width, 3), np.uint8)
    x1, x2 = (round(x * width) for x in BOX[::2])
    y1, y2 = (round(y * height) for y in BOX[1::2])
    pixels[y1:y2, x1:x2] = (255, 240, 240)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        if rotation:
            stream.set_display_rotation(rotation)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


class Finder(nn.Module):
    """One person: the box of all pixels at least half as bright as the brightest."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, pixels: Tensor, sizes: Tensor) -> Outputs:
        red = pixels[:, 0, pixels.shape[2] // 2]  # [B, H, W] of the key frame
        whole = zip(red, sizes.tolist(), strict=True)
        box = torch.stack([_box(frame, *size) for frame, size in whole])
        person = torch.full((len(box), 1), 2.0)
        return Outputs(person, box[:, None, None], torch.zeros(len(box), 1, self.classes))


def _box(red: Tensor, height: int, width: int) -> Tensor:
    seen = red[:height, :width]
    bright = seen >= max(float(seen.max()) / 2, 1e-3)
    if not bright.any():
        return torch.zeros(4)
    rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
    return torch.tensor(
        [
            float(columns.min()) / width,
            float(rows.min()) / height,
            float(columns.max() + 1) / width,
            float(rows.max() + 1) / height,
        ]
    )


def overlap(a: Any, b: Any) -> float:
    """IoU of two boxes."""
    from stadkit.boxes import iou

    return float(iou(np.array([a], np.float32), np.array([b], np.float32))[0, 0])
