"""Colours and textures: natural colours, multi-octave noise, foliage, cloth and surfaces.

Colours follow photographs: woods, greys, greens, skin tones and few saturated ones. Surfaces are
planks, bricks, tiles, grass, sand, snow, water and others. A cloth tile multiplies a colour, and
NEUTRAL leaves it unchanged, so that drawing cloth takes one warp and one product.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from stadkit.synth.draws import Floats, Pixels, Rng, colour, cv_colour, happens, pick

SKINS = np.array(
    [[245, 220, 200], [235, 195, 170], [225, 175, 140], [200, 145, 110], [160, 105, 75],
     [110, 70, 50], [85, 55, 40]], np.float64
)  # fmt: skip
WOODS = ((150, 105, 65), (190, 150, 100), (110, 70, 40), (85, 52, 34), (206, 176, 130))
STONES = ((128, 126, 124), (165, 162, 158), (90, 90, 92), (196, 192, 186), (150, 140, 128))
WHITES = ((236, 234, 230), (222, 214, 200), (240, 240, 244))
DARKS = ((38, 36, 36), (24, 24, 28), (52, 44, 40), (30, 36, 48))
GREENS = ((96, 122, 58), (74, 100, 52), (122, 144, 74), (56, 76, 48), (138, 134, 80))
BLUES = ((92, 128, 168), (58, 84, 130), (140, 172, 198), (40, 56, 92))
EARTHS = ((166, 142, 112), (196, 176, 142), (140, 112, 84), (214, 198, 168))
BRICKS = ((148, 78, 60), (168, 102, 78), (120, 62, 50), (178, 130, 100))
FRUITS = ((226, 184, 60), (214, 132, 44), (190, 52, 40), (150, 168, 60), (232, 206, 120))
FAMILIES = (WOODS, STONES, WHITES, DARKS, GREENS, BLUES, EARTHS, BRICKS, FRUITS)
WEIGHTS = (1.6, 1.7, 1.4, 0.9, 0.9, 0.8, 1.2, 0.7, 0.5)
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
Surface = Callable[[Rng, int, int], Pixels]


def family_colour(rng: Rng, family: tuple[tuple[int, int, int], ...]) -> Floats:
    """Draw a colour [3] of this family, RGB 5..250."""
    rgb = np.array(family[int(rng.integers(0, len(family)))], np.float64)
    return np.clip(rgb * rng.uniform(0.78, 1.2) + rng.normal(0, 6, 3), 5, 250)


def natural_colour(rng: Rng) -> Floats:
    """Draw a natural colour [3]; a tenth are saturated."""
    if happens(rng, 0.1):
        return colour(rng)
    return family_colour(rng, FAMILIES[pick(rng, WEIGHTS)])


def skin_colour(rng: Rng) -> Floats:
    """Draw a skin colour [3], from SKINS or interpolated between two of them."""
    a, b = SKINS[rng.integers(0, len(SKINS), 2)]
    mix = a + (b - a) * rng.random() if happens(rng, 0.5) else a
    return np.asarray(np.clip(mix * rng.uniform(0.8, 1.08) * rng.normal(1, 0.025, 3), 5, 250))


@lru_cache(maxsize=8)
def noise_bank(octaves: int, first: int = 2) -> Floats:
    """Noise [BANK, BANK] with mean 0, std 1 and a 1/f spectrum; identical in every process."""
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
    """White noise [BANK, BANK, 3] with std 1, identical in every process."""
    rng = np.random.default_rng(5)
    return np.asarray(rng.normal(0, 1, (BANK, BANK, 3)).astype(np.float32))


def noise(rng: Rng, height: int, width: int, octaves: int = 6, zoom: float = 1.0) -> Floats:
    """A crop [height, width] of the noise bank, with mean near 0 and std near 1.

    `zoom` 2 doubles the size of features.
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
    """Leaves [height, width, 3]: light and dark patches of one colour at two scales."""
    fine = noise(rng, height, width, 7, 0.35 * leaf)
    coarse = noise(rng, height, width, 3, 0.6)
    shade = 0.75 + 0.28 * np.tanh(1.5 * fine) + 0.2 * coarse
    tint = 1 + 0.12 * noise(rng, height, width, 5, 0.5)[..., None] * np.array([1.0, 0.3, -0.6])
    return to_pixels(base * shade[..., None] * tint)


def to_pixels(values: Floats) -> Pixels:
    """Clip values to 0..255 and convert them to uint8."""
    return np.clip(values, 0, 255).astype(np.uint8)


def cloth(rng: Rng, wrinkles: float, kind: str | None = None) -> tuple[Floats, Pixels]:
    """A base colour [3] and the tile [TILE, TILE, 3] that multiplies it."""
    kind = kind or CLOTHS[pick(rng, CLOTH_WEIGHTS)]
    first, second = colour(rng), colour(rng)
    albedo = np.empty((TILE, TILE, 3), np.float32)
    albedo[:] = first
    _pattern(rng, albedo, kind, second)
    albedo *= 1 + wrinkles * noise(rng, TILE, TILE, 6, rng.uniform(0.4, 1.5))[..., None]
    albedo *= 1 + 0.8 * wrinkles * _folds(rng)[..., None]
    # The base is near each channel's maximum, so that no factor exceeds one by much.
    base = np.maximum(0.95 * albedo[::3, ::3].reshape(-1, 3).max(0), 1.0)
    return base, to_pixels(albedo / base * NEUTRAL)


def _folds(rng: Rng) -> Floats:
    """Light and dark streaks [TILE, TILE] in one direction: the folds of hanging cloth."""
    streaks = noise(rng, TILE, TILE, 5, rng.uniform(0.3, 0.8))
    long = cv2.resize(streaks[:: int(rng.integers(3, 8))], (TILE, TILE))
    turn = cv2.getRotationMatrix2D((TILE / 2, TILE / 2), rng.uniform(-90, 90), 1)
    return np.asarray(cv2.warpAffine(long, turn, (TILE, TILE), borderMode=cv2.BORDER_REFLECT_101))


def plain(rng: Rng, rgb: Floats, roughness: float) -> tuple[Floats, Pixels]:
    """A plain colour with noise of strength `roughness`: fur, bark, wood, stone, plaster."""
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
        cv2.circle(albedo, at, radius, cv_colour(colour(rng) if many_colours else second), -1)


def _emblem(rng: Rng, albedo: Floats, second: Floats) -> None:
    for _ in range(int(rng.integers(1, 4))):
        points = TILE / 2 + rng.normal(0, TILE / 7, (int(rng.integers(3, 7)), 2))
        cv2.fillPoly(albedo, [points.astype(np.int32)], cv_colour(second))
    if happens(rng, 0.5):  # a number or a word, unreadable
        strokes = TILE / 2 + rng.normal(0, TILE / 8, (int(rng.integers(3, 8)), 2))
        cv2.polylines(albedo, [strokes.astype(np.int32)], False, cv_colour(colour(rng)), 3)


def streaks(rng: Rng, height: int, width: int, along: int, zoom: float = 0.6) -> Floats:
    """Noise [height, width] stretched vertically by a factor of `along`."""
    short = noise(rng, max(4, height // along), width, 7, zoom)
    return np.asarray(cv2.resize(short, (width, height), interpolation=cv2.INTER_LINEAR))


def _cells(
    rng: Rng, height: int, width: int, tall: int, wide: int, shift: float, spread: float
) -> tuple[Floats, Floats]:
    """Gains [H, W] of a grid of bricks, and a mask [H, W] of the joints."""
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
    """Floorboards, each with its own tone, grain and ends."""
    wide = int(rng.integers(5, 34))
    long = int(rng.uniform(0.35, 1.6) * height)
    gain, joint = _cells(rng, width, height, wide, long, rng.uniform(0.2, 0.8), 0.1)
    grain = streaks(rng, height, width, int(rng.integers(6, 16)))
    tone = gain.T * (1 + rng.uniform(0.03, 0.16) * grain)
    tone *= 1 - joint.T * rng.uniform(0.1, 0.6)
    tint = 1 + 0.06 * grain[..., None] * np.array([0.3, 0.0, -0.6])
    family = WOODS if happens(rng, 0.85) else STONES
    return to_pixels(family_colour(rng, family) * tone[..., None] * tint)


def bricks(rng: Rng, height: int, width: int) -> Pixels:
    """A wall of bricks or blocks."""
    tall = int(rng.integers(4, 14))
    family = BRICKS if happens(rng, 0.65) else STONES
    size = (height, width, tall, int(tall * rng.uniform(1.8, 3.2)))
    return _masonry(rng, family_colour(rng, family), family_colour(rng, STONES), size, 0.5, 0.13)


def tiles(rng: Rng, height: int, width: int) -> Pixels:
    """Tiles or slabs, a third of the time in two colours."""
    tall = int(rng.integers(6, 40))
    wide = int(tall * rng.uniform(0.8, 1.6))
    base = family_colour(rng, FAMILIES[int(rng.integers(0, 4))])
    out = _masonry(rng, base, family_colour(rng, STONES), (height, width, tall, wide), 0.0, 0.04)
    if happens(rng, 0.33):
        row, column = np.arange(height)[:, None] // tall, np.arange(width)[None] // wide
        odd = (row + column) % 2 == 0
        out[odd] = to_pixels(out[odd] * rng.uniform(0.3, 0.8))
    return out


def grass(rng: Rng, height: int, width: int) -> Pixels:
    """Lawn, meadow or fallen leaves."""
    base = family_colour(rng, GREENS)
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
    family = EARTHS if happens(rng, 0.75) else BRICKS
    return _loose(rng, height, width, family_colour(rng, family), rng.uniform(0.03, 0.15))


def snow(rng: Rng, height: int, width: int) -> Pixels:
    """Snow with bluish hollows."""
    rgb = np.array([225, 231, 240]) * rng.uniform(0.85, 1.05)
    return _loose(rng, height, width, rgb, rng.uniform(0.01, 0.05))


def asphalt(rng: Rng, height: int, width: int) -> Pixels:
    """Road or concrete, often with painted lines."""
    out = _loose(rng, height, width, family_colour(rng, STONES), rng.uniform(0.02, 0.08))
    for _ in range(int(rng.integers(0, 5))):
        a, b = rng.uniform(0, 1, 2)
        ends = ((int(a * width), 0), (int(a * width), height))
        if happens(rng, 0.5):
            ends = ((0, int(b * height)), (width, int(b * height)))
        cv2.line(out, *ends, cv_colour(family_colour(rng, WHITES)), int(rng.integers(1, 7)))
    return out


def court(rng: Rng, height: int, width: int) -> Pixels:
    """A sports court: one colour with lines."""
    families = (GREENS, BLUES, BRICKS, WOODS)
    rgb = family_colour(rng, families[int(rng.integers(0, 4))])
    out = _loose(rng, height, width, rgb, 0.02)
    line = cv_colour(family_colour(rng, WHITES))
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
    """A painted wall: a nearly uniform colour."""
    rgb = natural_colour(rng) if happens(rng, 0.45) else family_colour(rng, WHITES)
    return _loose(rng, height, width, rgb, rng.uniform(0.005, 0.04))


def carpet(rng: Rng, height: int, width: int) -> Pixels:
    """Carpet, curtain or wallpaper: a repeating pattern."""
    side = int(rng.integers(8, 40))
    small = natural_colour(rng) * np.ones((side, side, 1), np.float32)
    for _ in range(int(rng.integers(1, 6))):
        at = (int(rng.integers(0, side)), int(rng.integers(0, side)))
        axes = (int(rng.integers(1, 2 + side // 3)), int(rng.integers(1, 2 + side // 3)))
        rgb = cv_colour(natural_colour(rng))
        cv2.ellipse(small, at, axes, rng.uniform(0, 180), 0, 360, rgb, -1)
    tiled = np.tile(small, (-(-height // side), -(-width // side), 1))[:height, :width]
    return to_pixels(tiled * (1 + 0.06 * noise(rng, height, width, 7, 0.5))[..., None])


def cloudy(rng: Rng, height: int, width: int) -> Pixels:
    """A 1/f field between three colours: the statistics of photographs without objects."""
    a, b, c = (natural_colour(rng) for _ in range(3))
    zoom = rng.uniform(0.5, 2.5)
    first = np.clip(0.5 + rng.uniform(0.2, 0.5) * noise(rng, height, width, 7, zoom), 0, 1)
    second = np.clip(0.4 + 0.4 * noise(rng, height, width, 6, zoom), 0, 1)
    mix = a + (b - a) * first[..., None]
    return to_pixels(mix + (c - mix) * second[..., None])


INDOORS: tuple[Surface, ...] = (planks, planks, planks, tiles, carpet, court, plaster)


OUTDOORS: tuple[Surface, ...] = (grass, grass, sand, snow, asphalt, asphalt, court, water, tiles)


WALLS: tuple[Surface, ...] = (plaster, plaster, plaster, bricks, planks, tiles, carpet, cloudy)


TABLES: tuple[Surface, ...] = (planks, planks, carpet, plaster, tiles, cloudy)
