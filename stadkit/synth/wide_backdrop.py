"""Backdrops of the wide variety: rooms, streets, fields, tables, blurs, heaps of shapes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from stadkit.synth import clutter, palette, surfaces
from stadkit.synth.backdrop import (
    GROUND,
    MARGIN,
    WALL_HEIGHT,
    WALL_WIDTH,
    Backdrop,
    draw_backdrop,
    lay_ground,
    lay_wall,
    put_distance,
)
from stadkit.synth.camera import Camera
from stadkit.synth.chance import Pixels, Rng, happens, pick
from stadkit.synth.texture import noise, to_pixels

Place = Callable[[Rng, Camera, float, tuple[int, int]], Pixels]


def draw_wide_backdrop(rng: Rng, camera: Camera, wall: float, near: bool) -> Backdrop:
    """A place; `near` people stand before a blurred one more often."""
    if happens(rng, 0.12):
        return draw_backdrop(rng, camera, wall)
    size = (camera.image_height + 2 * MARGIN, camera.width + 2 * MARGIN)
    weights = (0.34, 0.3, 0.1, 0.1, 0.06, 0.1) if near else (0.36, 0.4, 0.04, 0.06, 0.06, 0.08)
    pixels = PLACES[pick(rng, weights)](rng, camera, wall, size)
    return Backdrop(_finish(rng, pixels, 0.6 if near else 0.25))


def draw_still_life(rng: Rng, camera: Camera) -> Backdrop:
    """What fills a picture without people: food, heaps, racks, vehicles, bare surfaces."""
    size = (camera.image_height + 2 * MARGIN, camera.width + 2 * MARGIN)
    kind = (_table, _table, _heap, _street, _room)[int(rng.integers(0, 5))]
    return Backdrop(_finish(rng, kind(rng, camera, 2.0, size), 0.3))


def _room(rng: Rng, camera: Camera, wall: float, size: tuple[int, int]) -> Pixels:
    pixels = np.empty((*size, 3), np.uint8)
    pixels[:] = to_pixels(palette.of(rng, palette.WHITES))
    kind = surfaces.INDOORS[int(rng.integers(0, len(surfaces.INDOORS)))]
    lay_ground(rng, camera, pixels, kind(rng, GROUND, GROUND), rng.uniform(0.006, 0.014))
    side = surfaces.WALLS[int(rng.integers(0, len(surfaces.WALLS)))]
    texture = side(rng, WALL_HEIGHT, WALL_WIDTH)
    _strew(rng, texture, clutter.ON_WALLS, 9)
    lay_wall(rng, camera, pixels, texture, wall)
    return pixels


def _open(rng: Rng, camera: Camera, wall: float, size: tuple[int, int]) -> Pixels:
    pixels = _sky(rng, size)
    kind = surfaces.OUTDOORS[int(rng.integers(0, len(surfaces.OUTDOORS)))]
    lay_ground(rng, camera, pixels, kind(rng, GROUND, GROUND), rng.uniform(0.005, 0.014))
    if happens(rng, 0.5):
        put_distance(rng, camera, pixels, wall)
    else:
        _behind(rng, camera, pixels)
    return pixels


def _sky(rng: Rng, size: tuple[int, int]) -> Pixels:
    """From blue or grey above to pale below."""
    high = palette.of(rng, palette.BLUES if happens(rng, 0.6) else palette.STONES)
    low = high + (245 - high) * rng.uniform(0.2, 0.9)
    ramp = np.linspace(0, 1, size[0])[:, None, None]
    sky = np.broadcast_to(high * (1 - ramp) + low * ramp, (*size, 3)).copy()
    clouds = np.clip(noise(rng, *size, 6, rng.uniform(1, 3)) - rng.uniform(-0.5, 2), 0, 1)
    return to_pixels(sky + (242 - sky) * clouds[..., None] * 0.8)


def _behind(rng: Rng, camera: Camera, pixels: Pixels) -> None:
    """Woods, hedges, walls or houses up to some height above the horizon."""
    foot = round(camera.horizon) + MARGIN + int(rng.uniform(0, 0.1) * pixels.shape[0])
    top = max(0, foot - int(rng.uniform(0.05, 0.9) * pixels.shape[0]))
    part = pixels[top : min(foot, len(pixels))]
    if len(part) < 8:
        return
    if happens(rng, 0.55):
        leaves = surfaces.grass(rng, *part.shape[:2])
        ridge = noise(rng, 4, part.shape[1], 6, 0.8)[:1] * 0.25 + 0.2
        inside = np.linspace(0, 1, len(part))[:, None] > ridge
        part[inside] = leaves[inside]
        if happens(rng, 0.5):
            clutter.trunks(rng, part)
        return
    part[:] = surfaces.WALLS[int(rng.integers(0, len(surfaces.WALLS)))](rng, *part.shape[:2])
    _strew(rng, part, clutter.OUTSIDE, 7)


def _strew(rng: Rng, pixels: Pixels, things: tuple[clutter.Thing, ...], most: int) -> None:
    for _ in range(int(rng.integers(0, most))):
        things[int(rng.integers(0, len(things)))](rng, pixels)


def _blur(rng: Rng, camera: Camera, wall: float, size: tuple[int, int]) -> Pixels:
    """A background out of focus, with or without lights."""
    pixels = surfaces.cloudy(rng, *size)
    clutter.leaves(rng, pixels)
    pixels[:] = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(3, 14))
    if happens(rng, 0.5):
        clutter.bokeh(rng, pixels)
    return pixels


def _heap(rng: Rng, camera: Camera, wall: float, size: tuple[int, int]) -> Pixels:
    pixels = surfaces.cloudy(rng, *size)
    clutter.leaves(rng, pixels)
    if happens(rng, 0.6):
        clutter.heap(rng, pixels)
    clutter.haze(rng, pixels)
    return pixels


def _street(rng: Rng, camera: Camera, wall: float, size: tuple[int, int]) -> Pixels:
    """Fronts and vehicles seen square on; their ground is a strip."""
    pixels = _sky(rng, size)
    foot = int(size[0] * rng.uniform(0.65, 1.0))
    _strew(rng, pixels[:foot], (clutter.front, clutter.trunks, clutter.poster), 6)
    clutter.vehicle(rng, pixels[: min(size[0], foot + 12)])
    if size[0] - foot > 8:
        pixels[foot:] = surfaces.asphalt(rng, size[0] - foot, size[1])
    _strew(rng, pixels, clutter.OUTSIDE, 3)
    return pixels


def _table(rng: Rng, camera: Camera, wall: float, size: tuple[int, int]) -> Pixels:
    """A table top, or any surface, that fills the picture, with things on it."""
    kind = surfaces.TABLES[int(rng.integers(0, len(surfaces.TABLES)))]
    pixels = kind(rng, *size)
    if happens(rng, 0.5):  # aslant
        pixels[:] = _tilted(rng, pixels)
    if happens(rng, 0.85):
        _strew(rng, pixels, clutter.ON_TABLES, 9)
    return pixels


def _tilted(rng: Rng, pixels: Pixels) -> Pixels:
    """The picture as a plane that recedes."""
    height, width = pixels.shape[:2]
    narrow = rng.uniform(0.1, 0.45) * width
    flat = np.array([[narrow, 0], [width - narrow, 0], [width, height], [0, height]])
    start = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    turn = cv2.getPerspectiveTransform(start.astype(np.float32), flat.astype(np.float32))
    return np.asarray(
        cv2.warpPerspective(pixels, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101),
        np.uint8,
    )


PLACES: tuple[Place, ...] = (_room, _open, _blur, _heap, _table, _street)


def _finish(rng: Rng, pixels: Pixels, blurred: float) -> Pixels:
    """Uneven light, and the blur of what lies behind the focus."""
    height, width = pixels.shape[:2]
    slope = rng.uniform(-0.3, 0.3, 2)
    gain = 1 + slope[0] * np.linspace(-1, 1, width)[None] + slope[1] * np.linspace(-1, 1, height)[
        :, None
    ]  # fmt: skip
    gain = gain * (1 + rng.uniform(0, 0.1) * noise(rng, height, width, 5, rng.uniform(0.6, 2)))
    out = to_pixels(pixels * gain[..., None])
    if happens(rng, blurred):
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), rng.uniform(0.8, 6)), np.uint8)
    return out
