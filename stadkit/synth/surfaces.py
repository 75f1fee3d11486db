"""Surfaces of photographs, as textures: boards, bricks, tiles, grass, sand, snow, water, cloth."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from stadkit.synth import palette
from stadkit.synth.chance import Floats, Pixels, Rng, happens, paint
from stadkit.synth.texture import foliage, noise, to_pixels

Surface = Callable[[Rng, int, int], Pixels]


def streaks(rng: Rng, height: int, width: int, along: int, zoom: float = 0.6) -> Floats:
    """Noise [height, width] drawn out `along` times down the rows."""
    short = noise(rng, max(4, height // along), width, 7, zoom)
    return np.asarray(cv2.resize(short, (width, height), interpolation=cv2.INTER_LINEAR))


def _cells(
    rng: Rng, height: int, width: int, tall: int, wide: int, shift: float, spread: float
) -> tuple[Floats, Floats]:
    """Gains [H, W] of a grid of bricks, and 1 where its joints are."""
    y, x = np.arange(height)[:, None], np.arange(width)[None]
    row = y // tall
    across = (x + np.asarray(row * shift * wide).astype(np.int64)) % max(width, 1)
    table = np.clip(rng.normal(1, spread, (61, 67)), 0.4, 1.6)
    gain = table[row % 61, (across // wide) % 67]
    joint = ((y % tall) < 1) | ((across % wide) < 1)
    return gain.astype(np.float32), joint.astype(np.float32)


def _masonry(
    rng: Rng, base: Floats, joint_rgb: Floats, size: tuple[int, int, int, int], shift: float,
    spread: float,
) -> Pixels:  # fmt: skip
    height, width, tall, wide = size
    gain, joint = _cells(rng, height, width, tall, wide, shift, spread)
    gain = gain * (1 + rng.uniform(0.02, 0.12) * noise(rng, height, width, 7, 0.6))
    out = base * gain[..., None]
    out += (joint_rgb - out) * (joint * rng.uniform(0.4, 1.0))[..., None]
    return to_pixels(out)


def planks(rng: Rng, height: int, width: int) -> Pixels:
    """Boards along the rows, each with its own tone, grain and ends."""
    wide = int(rng.integers(5, 34))
    long = int(rng.uniform(0.35, 1.6) * height)
    gain, joint = _cells(rng, width, height, wide, long, rng.uniform(0.2, 0.8), 0.1)
    grain = streaks(rng, height, width, int(rng.integers(6, 16)))
    tone = gain.T * (1 + rng.uniform(0.03, 0.16) * grain)
    tone *= 1 - joint.T * rng.uniform(0.1, 0.6)
    tint = 1 + 0.06 * grain[..., None] * np.array([0.3, 0.0, -0.6])
    family = palette.WOODS if happens(rng, 0.85) else palette.STONES
    return to_pixels(palette.of(rng, family) * tone[..., None] * tint)


def bricks(rng: Rng, height: int, width: int) -> Pixels:
    """A wall of bricks or blocks."""
    tall = int(rng.integers(4, 14))
    family = palette.BRICKS if happens(rng, 0.65) else palette.STONES
    size = (height, width, tall, int(tall * rng.uniform(1.8, 3.2)))
    return _masonry(rng, palette.of(rng, family), palette.of(rng, palette.STONES), size, 0.5, 0.13)


def tiles(rng: Rng, height: int, width: int) -> Pixels:
    """Square tiles or slabs, a third of them in two colours."""
    tall = int(rng.integers(6, 40))
    wide = int(tall * rng.uniform(0.8, 1.6))
    base = palette.of(rng, palette.FAMILIES[int(rng.integers(0, 4))])
    out = _masonry(
        rng, base, palette.of(rng, palette.STONES), (height, width, tall, wide), 0.0, 0.04
    )
    if happens(rng, 0.33):
        row, column = np.arange(height)[:, None] // tall, np.arange(width)[None] // wide
        odd = (row + column) % 2 == 0
        out[odd] = to_pixels(out[odd] * rng.uniform(0.3, 0.8))
    return out


def grass(rng: Rng, height: int, width: int) -> Pixels:
    """Lawn, meadow or leaves on the ground."""
    base = palette.of(rng, palette.GREENS)
    out = foliage(rng, height, width, base, rng.uniform(0.3, 1.0))
    soft = cv2.addWeighted(out, 0.55, np.full_like(out, base.astype(np.uint8)), 0.45, 0)
    return np.asarray(soft if happens(rng, 0.6) else out, np.uint8)


def _loose(rng: Rng, height: int, width: int, rgb: Floats, rough: float) -> Pixels:
    fine = noise(rng, height, width, 7, rng.uniform(0.3, 0.8))
    patches = noise(rng, height, width, 4, rng.uniform(0.5, 1.5))
    gain = 1 + rough * fine + rng.uniform(0.02, 0.14) * patches
    tint = 1 + 0.05 * patches[..., None] * np.array([1.0, 0.1, -0.8])
    return to_pixels(rgb * gain[..., None] * tint)


def sand(rng: Rng, height: int, width: int) -> Pixels:
    """Sand, earth or clay."""
    family = palette.EARTHS if happens(rng, 0.75) else palette.BRICKS
    return _loose(rng, height, width, palette.of(rng, family), rng.uniform(0.03, 0.15))


def snow(rng: Rng, height: int, width: int) -> Pixels:
    """Snow with blue hollows."""
    rgb = np.array([225, 231, 240]) * rng.uniform(0.85, 1.05)
    return _loose(rng, height, width, rgb, rng.uniform(0.01, 0.05))


def asphalt(rng: Rng, height: int, width: int) -> Pixels:
    """Road or concrete, often with painted lines."""
    out = _loose(rng, height, width, palette.of(rng, palette.STONES), rng.uniform(0.02, 0.08))
    for _ in range(int(rng.integers(0, 5))):
        a, b = rng.uniform(0, 1, 2)
        ends = ((int(a * width), 0), (int(a * width), height))
        if happens(rng, 0.5):
            ends = ((0, int(b * height)), (width, int(b * height)))
        cv2.line(out, *ends, paint(palette.of(rng, palette.WHITES)), int(rng.integers(1, 7)))
    return out


def court(rng: Rng, height: int, width: int) -> Pixels:
    """A playing field in one colour with lines."""
    families = (palette.GREENS, palette.BLUES, palette.BRICKS, palette.WOODS)
    rgb = palette.of(rng, families[int(rng.integers(0, 4))])
    out = _loose(rng, height, width, rgb, 0.02)
    line = paint(palette.of(rng, palette.WHITES))
    for _ in range(int(rng.integers(1, 6))):
        a = int(rng.uniform(0, 1) * height)
        ends = ((0, a), (width, a)) if happens(rng, 0.5) else ((a, 0), (a, height))
        cv2.line(out, *ends, line, int(rng.integers(2, 6)), cv2.LINE_AA)
    return out


def water(rng: Rng, height: int, width: int) -> Pixels:
    """Waves with foam."""
    waves = np.ascontiguousarray(streaks(rng, width, height, int(rng.integers(3, 9)), 0.5).T)
    base = np.array([rng.uniform(40, 110), rng.uniform(90, 140), rng.uniform(100, 165)])
    out = base * (1 + rng.uniform(0.08, 0.3) * waves[..., None])
    foam = np.clip(noise(rng, height, width, 7, 0.7) + 0.6 * waves - rng.uniform(0.6, 2.5), 0, 1)
    return to_pixels(out + (238 - out) * foam[..., None])


def plaster(rng: Rng, height: int, width: int) -> Pixels:
    """A painted wall: one colour that hardly changes."""
    rgb = palette.natural(rng) if happens(rng, 0.45) else palette.of(rng, palette.WHITES)
    return _loose(rng, height, width, rgb, rng.uniform(0.005, 0.04))


def carpet(rng: Rng, height: int, width: int) -> Pixels:
    """Carpets, curtains and wallpaper: a pattern that repeats."""
    side = int(rng.integers(8, 40))
    small = palette.natural(rng) * np.ones((side, side, 1), np.float32)
    for _ in range(int(rng.integers(1, 6))):
        at = (int(rng.integers(0, side)), int(rng.integers(0, side)))
        axes = (int(rng.integers(1, 2 + side // 3)), int(rng.integers(1, 2 + side // 3)))
        rgb = paint(palette.natural(rng))
        cv2.ellipse(small, at, axes, rng.uniform(0, 180), 0, 360, rgb, -1)
    again = np.tile(small, (-(-height // side), -(-width // side), 1))[:height, :width]
    return to_pixels(again * (1 + 0.06 * noise(rng, height, width, 7, 0.5))[..., None])


def cloudy(rng: Rng, height: int, width: int) -> Pixels:
    """A 1/f field between three colours: the statistics of pictures without their things."""
    a, b, c = (palette.natural(rng) for _ in range(3))
    zoom = rng.uniform(0.5, 2.5)
    first = np.clip(0.5 + rng.uniform(0.2, 0.5) * noise(rng, height, width, 7, zoom), 0, 1)
    second = np.clip(0.4 + 0.4 * noise(rng, height, width, 6, zoom), 0, 1)
    mix = a + (b - a) * first[..., None]
    return to_pixels(mix + (c - mix) * second[..., None])


INDOORS: tuple[Surface, ...] = (planks, planks, planks, tiles, carpet, court, plaster)
OUTDOORS: tuple[Surface, ...] = (grass, grass, sand, snow, asphalt, asphalt, court, water, tiles)
WALLS: tuple[Surface, ...] = (plaster, plaster, plaster, bricks, planks, tiles, carpet, cloudy)
TABLES: tuple[Surface, ...] = (planks, planks, carpet, plaster, tiles, cloudy)
