"""Textures: multi-octave noise, foliage, and the cloth that people and things wear.

A tile multiplies a colour: NEUTRAL leaves it as it is, so one warp and one product draw it.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from stadkit.synth.chance import Floats, Pixels, Rng, colour, happens, paint, pick

NEUTRAL = 200  # the tile value that multiplies by one
TILE = 64  # pixels of a cloth tile
BANK = 640  # pixels of a side of the noise bank
CLOTHS = (
    "plain",
    "across",
    "upright",
    "checks",
    "dots",
    "print",
    "camouflage",
    "open",
    "flowers",
    "halves",
)
CLOTH_WEIGHTS = (0.4, 0.11, 0.06, 0.09, 0.04, 0.12, 0.03, 0.07, 0.05, 0.05)


@lru_cache(maxsize=8)
def noise_bank(octaves: int, first: int = 2) -> Floats:
    """Noise [BANK, BANK] of mean 0 and spread 1, falling by 1/f; the same in every process."""
    rng = np.random.default_rng(octaves * 100 + first)
    out = np.zeros((BANK, BANK), np.float32)
    for i in range(octaves):
        cells = min(BANK, first * 2**i)
        grid = rng.normal(0, 1, (cells, cells)).astype(np.float32)
        large = np.asarray(cv2.resize(grid, (BANK, BANK), interpolation=cv2.INTER_CUBIC))
        out += large.astype(np.float32) / (1 + 0.8 * i)
    return np.asarray((out - out.mean()) / out.std())


@lru_cache(maxsize=1)
def grain_bank() -> Floats:
    """White noise [BANK, BANK, 3] of spread 1, the same in every process."""
    rng = np.random.default_rng(5)
    return np.asarray(rng.normal(0, 1, (BANK, BANK, 3)).astype(np.float32))


def noise(rng: Rng, height: int, width: int, octaves: int = 6, zoom: float = 1.0) -> Floats:
    """A piece [height, width] of the noise bank, mean near 0, spread near 1.

    `zoom` 2 shows features twice as large.
    """
    bank = noise_bank(octaves, 4)
    h, w = (min(BANK, max(4, int(side / zoom))) for side in (height, width))
    y, x = int(rng.integers(0, BANK - h + 1)), int(rng.integers(0, BANK - w + 1))
    piece = bank[y : y + h, x : x + w]
    piece = piece[:: 1 if happens(rng, 0.5) else -1, :: 1 if happens(rng, 0.5) else -1]
    return np.asarray(
        cv2.resize(np.ascontiguousarray(piece), (width, height), interpolation=cv2.INTER_LINEAR)
    )


def foliage(rng: Rng, height: int, width: int, base: Floats, leaf: float = 1.0) -> Pixels:
    """Leaves [height, width, 3]: patches of light and dark of one colour at two sizes."""
    fine = noise(rng, height, width, 7, 0.35 * leaf)
    coarse = noise(rng, height, width, 3, 0.6)
    shade = 0.75 + 0.28 * np.tanh(1.5 * fine) + 0.2 * coarse
    tint = 1 + 0.12 * noise(rng, height, width, 5, 0.5)[..., None] * np.array([1.0, 0.3, -0.6])
    return to_pixels(base * shade[..., None] * tint)


def to_pixels(values: Floats) -> Pixels:
    """Values clipped to 0..255 as bytes."""
    return np.clip(values, 0, 255).astype(np.uint8)


def cloth(rng: Rng, wrinkles: float, kind: str | None = None) -> tuple[Floats, Pixels]:
    """A colour [3] and the tile [TILE, TILE, 3] that makes the cloth of it."""
    kind = kind or CLOTHS[pick(rng, CLOTH_WEIGHTS)]
    first, second = colour(rng), colour(rng)
    albedo = np.empty((TILE, TILE, 3), np.float32)
    albedo[:] = first
    _pattern(rng, albedo, kind, second)
    albedo *= 1 + wrinkles * noise(rng, TILE, TILE, 6, rng.uniform(0.4, 1.5))[..., None]
    albedo *= 1 + 0.8 * wrinkles * _folds(rng)[..., None]
    # Near every channel's brightest value is the base, so that no factor exceeds one by much.
    base = np.maximum(0.95 * albedo[::3, ::3].reshape(-1, 3).max(0), 1.0)
    return base, to_pixels(albedo / base * NEUTRAL)


def _folds(rng: Rng) -> Floats:
    """Light and dark streaks [TILE, TILE] in one direction, as cloth falls."""
    streaks = noise(rng, TILE, TILE, 5, rng.uniform(0.3, 0.8))
    long = cv2.resize(streaks[:: int(rng.integers(3, 8))], (TILE, TILE))
    turn = cv2.getRotationMatrix2D((TILE / 2, TILE / 2), rng.uniform(-90, 90), 1)
    return np.asarray(cv2.warpAffine(long, turn, (TILE, TILE), borderMode=cv2.BORDER_REFLECT_101))


def plain(rng: Rng, rgb: Floats, roughness: float) -> tuple[Floats, Pixels]:
    """This colour with noise of this strength: fur, bark, wood, stone, plaster."""
    rough = 1 + roughness * noise(rng, TILE, TILE, 6, rng.uniform(0.3, 1.2))
    tile = np.repeat(rough[..., None], 3, 2) * NEUTRAL
    return rgb, to_pixels(tile)


def _pattern(rng: Rng, albedo: Floats, kind: str, second: Floats) -> None:
    count = int(rng.integers(2, 9))
    step = TILE / count
    if kind in ("across", "checks", "upright"):
        for i in range(count):
            a, b = int(i * step), int((i + rng.uniform(0.3, 0.7)) * step)
            if kind != "upright":
                albedo[a:b] = second
            if kind != "across":
                albedo[:, a:b] = (albedo[:, a:b] + second) / 2 if kind == "checks" else second
    elif kind in ("dots", "flowers"):
        _dots(rng, albedo, second, kind == "flowers")
    elif kind == "print":
        _emblem(rng, albedo, second)
    elif kind == "camouflage":
        albedo[noise(rng, TILE, TILE, 4, 0.4) > rng.uniform(-0.3, 0.8)] = second
    elif kind == "open":
        albedo[:, TILE // 2 - 5 : TILE // 2 + 6] = second
    elif kind == "halves":
        albedo[: int(rng.uniform(0.3, 0.7) * TILE)] = second


def _dots(rng: Rng, albedo: Floats, second: Floats, many_colours: bool) -> None:
    radius = int(rng.integers(1, 6))
    for _ in range(int(rng.integers(12, 50))):
        at = (int(rng.integers(0, TILE)), int(rng.integers(0, TILE)))
        cv2.circle(albedo, at, radius, paint(colour(rng) if many_colours else second), -1)


def _emblem(rng: Rng, albedo: Floats, second: Floats) -> None:
    for _ in range(int(rng.integers(1, 4))):
        points = TILE / 2 + rng.normal(0, TILE / 7, (int(rng.integers(3, 7)), 2))
        cv2.fillPoly(albedo, [points.astype(np.int32)], paint(second))
    if happens(rng, 0.5):  # a number or a word, unreadable
        strokes = TILE / 2 + rng.normal(0, TILE / 8, (int(rng.integers(3, 8)), 2))
        cv2.polylines(albedo, [strokes.astype(np.int32)], False, paint(colour(rng)), 3)
