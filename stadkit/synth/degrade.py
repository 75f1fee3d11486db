"""What a camera and a codec do to pictures: light, colour, blur, noise, compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stadkit.synth.chance import Floats, Pixels, Rng, happens
from stadkit.synth.texture import BANK, grain_bank


@dataclass(frozen=True)
class Camcorder:
    """One camera's faults, the same for all frames of a clip."""

    curve: Pixels  # [1, 256, 3]  brightness, contrast and cast as a table
    saturation: float  # 0: grey
    shrink: float  # 1, or how many times coarser the sensor is
    blur: float  # pixels; never none, as figures are painted with hard edges
    grain: float  # spread of the noise in grey levels, 0: none
    quality: int  # JPEG quality, 0: none
    sharpen: float  # strength of the halo, 0: none
    smear: Floats | None  # [k, k]  the kernel of a camera that shakes while it looks


def draw_camcorder(rng: Rng) -> Camcorder:
    """A camera, from clean to poor."""
    saturation = 1.0
    if happens(rng, 0.4):
        saturation = 0.0 if happens(rng, 0.18) else rng.uniform(0.3, 1.25)
    return Camcorder(
        curve=_curve(rng),
        saturation=saturation,
        shrink=rng.uniform(1.2, 2.2) if happens(rng, 0.25) else 1.0,
        blur=rng.uniform(0.5, 1.3) if happens(rng, 0.4) else rng.uniform(0.45, 0.65),
        grain=rng.uniform(1, 9) if happens(rng, 0.5) else 0.0,
        quality=int(rng.uniform(18, 90)) if happens(rng, 0.65) else 0,
        sharpen=rng.uniform(0.2, 0.9) if happens(rng, 0.25) else 0.0,
        smear=_smear(rng) if happens(rng, 0.08) else None,
    )


def _curve(rng: Rng) -> Pixels:
    # Gamma above 1.25 or brightness below -.03 made clips that were black.
    gamma, contrast = rng.uniform(0.75, 1.2), rng.uniform(0.65, 1.15)
    bright, cast = rng.uniform(-0.03, 0.12), rng.normal(1, 0.06, 3)
    level = np.linspace(0, 1, 256)[:, None] ** gamma
    table = ((level - 0.5) * contrast + 0.5 + bright) * cast
    return np.asarray((np.clip(table, 0, 1) * 255).astype(np.uint8)[None])


def _smear(rng: Rng) -> Floats:
    side = 2 * int(rng.integers(1, 5)) + 1
    kernel = np.zeros((side, side), np.float32)
    angle, middle = rng.uniform(0, np.pi), side // 2
    for step in np.linspace(-middle, middle, 2 * side):
        kernel[middle + round(step * np.sin(angle)), middle + round(step * np.cos(angle))] = 1
    return np.asarray(kernel / kernel.sum())


def degrade(pixels: Pixels, camcorder: Camcorder, rng: Rng) -> Pixels:
    """A frame [H, W, 3] as this camera would give it; `rng` draws the noise."""
    c = camcorder
    if c.shrink > 1:
        pixels = _coarser(pixels, c.shrink)
    width = 3 if c.blur < 0.7 else 5 if c.blur < 1.0 else 7
    pixels = np.asarray(cv2.GaussianBlur(pixels, (width, width), c.blur), np.uint8)
    if c.smear is not None:
        pixels = np.asarray(cv2.filter2D(pixels, -1, c.smear), np.uint8)
    if c.sharpen:
        soft = cv2.blur(pixels, (3, 3))
        pixels = np.asarray(cv2.addWeighted(pixels, 1 + c.sharpen, soft, -c.sharpen, 0), np.uint8)
    pixels = np.asarray(cv2.LUT(pixels, c.curve), np.uint8)
    if c.saturation != 1:
        grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        mixed = cv2.addWeighted(pixels, c.saturation, grey, 1 - c.saturation, 0)
        pixels = np.asarray(mixed, np.uint8)
    if c.grain:
        pixels = _grainy(pixels, c.grain, rng)
    return _compressed(pixels, c.quality) if c.quality else pixels


def _coarser(pixels: Pixels, shrink: float) -> Pixels:
    height, width = pixels.shape[:2]
    small = (max(8, int(width / shrink)), max(8, int(height / shrink)))
    coarse = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (width, height)), np.uint8)


def _grainy(pixels: Pixels, spread: float, rng: Rng) -> Pixels:
    height, width = pixels.shape[:2]
    grain = _grain(height, width, rng)
    return np.asarray(cv2.scaleAdd(grain, spread, pixels.astype(np.float32)).clip(0, 255), np.uint8)


def _grain(height: int, width: int, rng: Rng) -> Floats:
    y = int(rng.integers(0, max(BANK - height, 0) + 1))
    x = int(rng.integers(0, max(BANK - width, 0) + 1))
    piece = grain_bank()[y : y + height, x : x + width]
    if piece.shape[:2] != (height, width):  # larger than the bank: repeat it
        repeats = (-(-height // piece.shape[0]), -(-width // piece.shape[1]), 1)
        piece = np.tile(piece, repeats)[:height, :width]
    return np.ascontiguousarray(piece)


def _compressed(pixels: Pixels, quality: int) -> Pixels:
    _, code = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
