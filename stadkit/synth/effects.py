"""Image degradation by cameras, codecs and transmission.

Camcorders and photo cameras: colour, light, vignetting, blur, noise, halos and compression.
Glitches corrupt single frames in transmission, so that no person is recognizable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from stadkit.synth.draws import Floats, Pixels, Rng, happens, pick
from stadkit.synth.figure import FLAT
from stadkit.synth.light import Light, draw_light
from stadkit.synth.texture import BANK, grain_bank

# A random number stream separate from the scene's: glitches leave the scene unchanged, and frames
# corrupted at a small share are also corrupted at a larger one.
STREAM = 0x611C
BLOCKS = 15  # macroblocks along the shorter side


def draw_photo(rng: Rng) -> Camcorder:
    """Draw a photo camera, with more varied colours and defects than a camcorder."""
    grey, dim = happens(rng, 0.08), happens(rng, 0.07)
    return replace(
        draw_camcorder(rng),
        curve=_photo_curve(rng, dim),
        saturation=0.0 if grey else rng.uniform(0.55, 1.15) if happens(rng, 0.6) else 1.0,
        shrink=rng.uniform(1.2, 2.0) if happens(rng, 0.15) else 1.0,
        grain=rng.uniform(3, 9) if dim else rng.uniform(0.5, 5) if happens(rng, 0.5) else 0.0,
        quality=int(rng.uniform(25, 95)) if happens(rng, 0.8) else 0,
        sharpen=rng.uniform(0.3, 1.2) if happens(rng, 0.4) else 0.0,
    )


def _photo_curve(rng: Rng, dim: bool) -> Pixels:
    """A global tint, then gamma and contrast, with a film-like curve if steep."""
    tint = np.exp(rng.normal(0, 0.05, 3) + rng.normal(0, 0.09) * np.array([1.0, 0.1, -1.0]))
    gain = rng.uniform(0.5, 0.8) if dim else rng.uniform(0.95, 1.3)
    level = np.linspace(0, 1, 256)[:, None] * tint * gain
    level = np.clip(level, 0, 1) ** np.exp(rng.normal(-0.08, 0.18))
    steep = rng.uniform(-0.3, 0.35)
    level = level + steep * (level - 0.5) * level * (1 - level) * 4
    level = level + rng.uniform(-0.03, 0.06)
    return np.asarray((np.clip(level, 0, 1) * 255).astype(np.uint8)[None])


def draw_photo_light(rng: Rng, height: int, width: int) -> Light:
    """Draw a light, often with vignetting."""
    light = draw_light(rng, height, width)
    if not happens(rng, 0.4):
        return light
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    corners = 1 - rng.uniform(0.1, 0.55) * ((x * x + y * y) / 2) ** rng.uniform(0.8, 1.6)
    patches = light.patches if light.patches is not None else np.full_like(corners, FLAT)
    return replace(light, patches=np.clip(patches * corners, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Camcorder:
    """The defects of a camera, constant over a clip."""

    curve: Pixels  # [1, 256, 3]  lookup table of brightness, contrast and colour cast
    saturation: float  # 0: grey
    shrink: float  # downscaling factor of the sensor resolution, 1: none
    blur: float  # pixels; always above 0, as figures are painted with hard edges
    grain: float  # std of the noise in grey levels, 0: none
    quality: int  # JPEG quality, 0: none
    sharpen: float  # halo strength, 0: none
    smear: Floats | None  # [k, k]  blur kernel of camera shake


def draw_camcorder(rng: Rng) -> Camcorder:
    """Draw a camcorder, from good to poor."""
    saturation = 1.0
    if happens(rng, 0.4):
        saturation = 0.0 if happens(rng, 0.18) else rng.uniform(0.3, 1.25)
    return Camcorder(
        curve=_codec_curve(rng),
        saturation=saturation,
        shrink=rng.uniform(1.2, 2.2) if happens(rng, 0.25) else 1.0,
        blur=rng.uniform(0.5, 1.3) if happens(rng, 0.4) else rng.uniform(0.45, 0.65),
        grain=rng.uniform(1, 9) if happens(rng, 0.5) else 0.0,
        quality=int(rng.uniform(18, 90)) if happens(rng, 0.65) else 0,
        sharpen=rng.uniform(0.2, 0.9) if happens(rng, 0.25) else 0.0,
        smear=_smear(rng) if happens(rng, 0.08) else None,
    )


def _codec_curve(rng: Rng) -> Pixels:
    # Gamma above 1.25 or brightness below -0.03 gave black clips.
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
    """Degrade a frame [H, W, 3] with this camera's defects; `rng` draws the noise."""
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


@dataclass(frozen=True)
class Glitches:
    """The corrupted frames of a video, reproducible by seed."""

    lost: NDArray[np.bool_]  # [T]
    seed: tuple[int, ...]

    @classmethod
    def draw(cls, seed: tuple[int, ...], frames: int, share: float) -> Glitches:
        """Corrupt each of `frames` frames independently with probability `share`."""
        return cls(np.random.default_rng((*seed, STREAM)).random(frames) < share, seed)

    def transmit(self, pixels: Pixels, t: int) -> Pixels:
        """Frame t [H, W, 3] after transmission."""
        if not self.lost[t]:
            return pixels
        rng = np.random.default_rng((*self.seed, STREAM, t))
        return KINDS[pick(rng, (0.5, 0.25, 0.25))](pixels, rng)


def _scrambled(pixels: Pixels, rng: Rng) -> Pixels:
    """Shuffle macroblocks, a third of them without detail."""
    height, width = pixels.shape[:2]
    side = max(min(height, width) // BLOCKS, 4)
    down, across = -(-height // side), -(-width // side)
    margin = ((0, down * side - height), (0, across * side - width), (0, 0))
    padded = np.pad(pixels, margin, mode="edge").reshape(down, side, across, side, 3)
    blocks = rng.permutation(padded.swapaxes(1, 2).reshape(-1, side, side, 3))
    flat = rng.random(len(blocks)) < 1 / 3
    blocks[flat] = blocks[flat].mean((1, 2), keepdims=True).astype(np.uint8)
    picture = blocks.reshape(down, across, side, side, 3).swapaxes(1, 2)
    return picture.reshape(down * side, across * side, 3)[:height, :width]


def _smeared(pixels: Pixels, rng: Rng) -> Pixels:
    """Repeat one column over the whole image."""
    column = int(rng.integers(0, pixels.shape[1]))
    return np.repeat(pixels[:, column : column + 1], pixels.shape[1], 1)


def _snow(pixels: Pixels, rng: Rng) -> Pixels:
    """Noise in brighter and darker bands."""
    height, width = pixels.shape[:2]
    rows = np.arange(height)[:, None]
    band = 0.7 + 0.3 * np.sin(rows * rng.uniform(2, 9) / height + rng.uniform(0, 2 * np.pi))
    grey = (band * rng.integers(0, 256, (height, width))).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


KINDS: tuple[Callable[[Pixels, Rng], Pixels], ...] = (_scrambled, _smeared, _snow)
