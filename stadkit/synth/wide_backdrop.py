"""Backdrops and props of the wide variety.

Backdrops are rooms, streets, fields, tables, blurs and piles of shapes. Props add distractors:
set tables, fruit, clothes rails, large animals and vehicles, in natural and sometimes skin colours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from stadkit.synth import clutter
from stadkit.synth import texture as palette
from stadkit.synth import texture as surfaces
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
from stadkit.synth.clutter import object_colour
from stadkit.synth.draws import Floats, Pixels, Rng, happens, pick
from stadkit.synth.figure import Figure, Material, Model
from stadkit.synth.mounts import animal
from stadkit.synth.props import draw_prop
from stadkit.synth.skeleton import to_world
from stadkit.synth.texture import cloth, noise, plain, to_pixels

Place = Callable[[Rng, Camera, float, tuple[int, int]], Pixels]


def draw_wide_backdrop(rng: Rng, camera: Camera, wall: float, near: bool) -> Backdrop:
    """Draw a backdrop, blurred more often behind `near` people."""
    if happens(rng, 0.12):
        return draw_backdrop(rng, camera, wall)
    size = (camera.image_height + 2 * MARGIN, camera.width + 2 * MARGIN)
    weights = (0.34, 0.3, 0.1, 0.1, 0.06, 0.1) if near else (0.36, 0.4, 0.04, 0.06, 0.06, 0.08)
    pixels = PLACES[pick(rng, weights)](rng, camera, wall, size)
    return Backdrop(_finish(rng, pixels, 0.6 if near else 0.25))


def draw_still_life(rng: Rng, camera: Camera) -> Backdrop:
    """Draw a scene without people: food, piles, racks, vehicles, bare surfaces."""
    size = (camera.image_height + 2 * MARGIN, camera.width + 2 * MARGIN)
    kind = (_table, _table, _heap, _street, _room)[int(rng.integers(0, 5))]
    return Backdrop(_finish(rng, kind(rng, camera, 2.0, size), 0.3))


def _room(rng: Rng, camera: Camera, wall: float, size: tuple[int, int]) -> Pixels:
    pixels = np.empty((*size, 3), np.uint8)
    pixels[:] = to_pixels(palette.family_colour(rng, palette.WHITES))
    kind = surfaces.INDOORS[int(rng.integers(0, len(surfaces.INDOORS)))]
    lay_ground(rng, camera, pixels, kind(rng, GROUND, GROUND), rng.uniform(0.006, 0.014))
    side = surfaces.WALLS[int(rng.integers(0, len(surfaces.WALLS)))]
    texture = side(rng, WALL_HEIGHT, WALL_WIDTH)
    _scatter(rng, texture, clutter.WALL_OBJECTS, 9)
    lay_wall(rng, camera, pixels, texture, wall)
    return pixels


def _open(rng: Rng, camera: Camera, wall: float, size: tuple[int, int]) -> Pixels:
    pixels = _sky(rng, size)
    kind = surfaces.OUTDOORS[int(rng.integers(0, len(surfaces.OUTDOORS)))]
    lay_ground(rng, camera, pixels, kind(rng, GROUND, GROUND), rng.uniform(0.005, 0.014))
    if happens(rng, 0.5):
        put_distance(rng, camera, pixels, wall)
    else:
        _skyline(rng, camera, pixels)
    return pixels


def _sky(rng: Rng, size: tuple[int, int]) -> Pixels:
    """A gradient from blue or grey above to pale below."""
    high = palette.family_colour(rng, palette.BLUES if happens(rng, 0.6) else palette.STONES)
    low = high + (245 - high) * rng.uniform(0.2, 0.9)
    ramp = np.linspace(0, 1, size[0])[:, None, None]
    sky = np.broadcast_to(high * (1 - ramp) + low * ramp, (*size, 3)).copy()
    clouds = np.clip(noise(rng, *size, 6, rng.uniform(1, 3)) - rng.uniform(-0.5, 2), 0, 1)
    return to_pixels(sky + (242 - sky) * clouds[..., None] * 0.8)


def _skyline(rng: Rng, camera: Camera, pixels: Pixels) -> None:
    """Draw woods, hedges, walls or houses above the horizon."""
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
    _scatter(rng, part, clutter.OUTDOOR_OBJECTS, 7)


def _scatter(
    rng: Rng, pixels: Pixels, painters: tuple[clutter.Painter, ...], max_count: int
) -> None:
    for _ in range(int(rng.integers(0, max_count))):
        painters[int(rng.integers(0, len(painters)))](rng, pixels)


def _blur(rng: Rng, camera: Camera, wall: float, size: tuple[int, int]) -> Pixels:
    """An out-of-focus background, with or without lights."""
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
        clutter.large_pile(rng, pixels)
    clutter.haze(rng, pixels)
    return pixels


def _street(rng: Rng, camera: Camera, wall: float, size: tuple[int, int]) -> Pixels:
    """Facades and vehicles seen frontally, above a strip of ground."""
    pixels = _sky(rng, size)
    foot = int(size[0] * rng.uniform(0.65, 1.0))
    _scatter(rng, pixels[:foot], (clutter.facade, clutter.trunks, clutter.poster), 6)
    clutter.vehicle(rng, pixels[: min(size[0], foot + 12)])
    if size[0] - foot > 8:
        pixels[foot:] = surfaces.asphalt(rng, size[0] - foot, size[1])
    _scatter(rng, pixels, clutter.OUTDOOR_OBJECTS, 3)
    return pixels


def _table(rng: Rng, camera: Camera, wall: float, size: tuple[int, int]) -> Pixels:
    """A surface that fills the frame, such as a table top, with objects on it."""
    kind = surfaces.TABLES[int(rng.integers(0, len(surfaces.TABLES)))]
    pixels = kind(rng, *size)
    if happens(rng, 0.5):  # seen at an angle
        pixels[:] = _tilted(rng, pixels)
    if happens(rng, 0.85):
        _scatter(rng, pixels, clutter.TABLE_OBJECTS, 9)
    return pixels


def _tilted(rng: Rng, pixels: Pixels) -> Pixels:
    """Warp the image to a receding plane."""
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
    """Apply uneven light and defocus blur."""
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


def draw_wide_prop(rng: Rng, t: Floats, x: float, z: float, number: int) -> Figure:
    """Draw a static prop on the ground at (x, z); t [T] in seconds."""
    if happens(rng, 0.5):
        prop = draw_prop(rng, t, x, z, number)
        return replace(prop, materials=_materials(rng), round=True)
    model = MAKERS[int(rng.integers(0, len(MAKERS)))](rng, t)
    yaw = rng.uniform(0, 2 * np.pi)
    return stand(rng, model, t, (x, z, yaw), number)


def stand(rng: Rng, model: Model, t: Floats, at: tuple[float, float, float], number: int) -> Figure:
    """Place a model at x, z with this yaw."""
    x, z, yaw = (np.full(len(t), value) for value in at)
    world = to_world(model.moved(len(t)), x, z, yaw)
    height = world[0, :, 1]
    return Figure(
        world=world,
        parts=tuple(model.parts),
        materials=_materials(rng),
        contrast=(rng.uniform(0.5, 0.9), rng.uniform(1.0, 1.2)),
        axis=(int(height.argmin()), int(height.argmax())),
        number=number,
        round=True,
    )


def _materials(rng: Rng) -> tuple[Material, ...]:
    made = []
    for _ in range(3):
        if happens(rng, 0.25):
            made.append(Material(*cloth(rng, rng.uniform(0.02, 0.2)), 0.3))
        else:
            made.append(Material(*plain(rng, object_colour(rng), rng.uniform(0.01, 0.2)), 0.3))
    return tuple(made)


def table(rng: Rng, half: float, tall: float, deep: float) -> Model:
    """A table or counter 2 * half wide, with dishes, bottles, screens and fruit on it."""
    model = Model()
    model.box((-half, tall - 0.03, -deep), (half, tall, deep), 0)
    if happens(rng, 0.5):
        front = -deep * rng.uniform(0.3, 0.95)  # a panel or tablecloth that hides legs
        low = rng.uniform(0, 0.6) * tall
        model.box((-half, low, front), (half, tall - 0.02, front + 0.02), 0, 0.01)
    else:
        for x in (-half * 0.95, half * 0.95):
            for z in (-deep, deep):
                model.limb(model.point(x, 0, z), model.point(x, tall, z), 0.015, 0.015, 1)
    for _ in range(int(rng.integers(0, 9))):
        _put_on(rng, model, rng.uniform(-half, half), tall, rng.uniform(-0.8, 0.6) * deep)
    return model


def _put_on(rng: Rng, model: Model, x: float, y: float, z: float) -> None:
    kind, material = rng.random(), int(rng.integers(1, 3))
    if kind < 0.35:  # bottle, glass, cup
        tall, r = rng.uniform(0.03, 0.17), rng.uniform(0.012, 0.03)
        low, high = model.point(x, y + r, z), model.point(x, y + tall, z)
        model.limb(low, high, r, r * rng.uniform(0.3, 1.3), material)
    elif kind < 0.55:  # plate
        r = rng.uniform(0.04, 0.1)
        ring = [model.point(x + r * np.cos(a), y + 0.01, z + r * np.sin(a)) for a in np.arange(8)]
        model.hull(tuple(ring), 0.006, material)
    elif kind < 0.75:  # fruit, heads of cabbage, bags
        r = rng.uniform(0.02, 0.08)
        model.hull((model.point(x, y + r, z),), r, material)
    else:  # screen, book, box
        w, h, d = rng.uniform(0.03, 0.15), rng.uniform(0.02, 0.2), rng.uniform(0.01, 0.06)
        model.box((x - w, y, z - d), (x + w, y + h, z + d), material)


def _set_table(rng: Rng, t: Floats) -> Model:
    return table(rng, rng.uniform(0.25, 0.9), rng.uniform(0.25, 0.55), rng.uniform(0.15, 0.4))


def _rail(rng: Rng, t: Floats) -> Model:
    """Clothes hanging from a rail, seen from any side."""
    model, half, top = Model(), rng.uniform(0.3, 0.9), rng.uniform(0.75, 1.1)
    ends = model.point(-half, top, 0), model.point(half, top, 0)
    model.limb(ends[0], ends[1], 0.012, 0.012, 2)
    for x, end in zip((-half, half), ends, strict=True):
        model.limb(model.point(x, 0, 0), end, 0.012, 0.012, 2)
    x = -half
    while x < half:
        drop, wide = rng.uniform(0.25, 0.6), rng.uniform(0.07, 0.13)
        corners = [model.point(x, top - 0.06, s * wide) for s in (-1, 1)]
        corners += [model.point(x + 0.02, top - drop, s * wide) for s in (-1, 1)]
        model.hull(tuple(corners), 0.02, int(rng.integers(0, 2)))
        x += rng.uniform(0.06, 0.2)
    return model


def _bananas(rng: Rng, t: Floats) -> Model:
    """A bunch of bent tapered limbs, as large as arms or legs."""
    model, size = Model(), rng.uniform(0.15, 0.6)
    stalk = model.point(0, size * rng.uniform(0.6, 1.2), 0)
    for _ in range(int(rng.integers(2, 7))):
        way = rng.normal(0, 0.4, 3) * (1, 0.3, 1)
        last, r = stalk, 0.05 * size
        for s in (0.35, 0.7, 1.0):
            drop = size * (s + 0.1 * s * s)
            bend = way * size * s * (1.6 - s)
            y = max(float(model.points[stalk][1]) - drop, 0.02)
            end = model.point(bend[0], y, bend[2])
            thick = size * (0.16 if s < 0.9 else 0.05)
            model.limb(last, end, r, thick, 0)
            last, r = end, thick
    return model


def _large_animal(rng: Rng, t: Floats) -> Model:
    """An elephant, cow or bear: thick legs, sometimes a trunk."""
    size = rng.uniform(0.5, 1.6)
    model = animal(t, size, 0.0, rng.uniform(-0.1, 0.3), rng.uniform(0.7, 1.3))
    fat = rng.uniform(1.2, 2.3)
    model.parts = [
        replace(part, radii=tuple(r * fat for r in part.radii)) if len(part.points) == 2 else part
        for part in model.parts
    ]
    if happens(rng, 0.4):
        nose = model.parts[-2].points[1]
        tip = model.points[nose] * (1, 0.15, 1) + np.array([0.1, 0, 0.15])
        model.limb(nose, model.point(tip[0], tip[1], tip[2]), 0.1 * size, 0.04 * size, 0)
    return model


def _pots(rng: Rng, t: Floats) -> Model:
    """A vase, statue, hydrant or bottle: stacked round parts."""
    model, y = Model(), 0.0
    scale = rng.uniform(0.4, 1.5)
    for _ in range(int(rng.integers(1, 6))):
        r, tall = rng.uniform(0.03, 0.14) * scale, rng.uniform(0.02, 0.3) * scale
        low, high = model.point(0, y + r, 0), model.point(0, y + r + tall, 0)
        model.limb(low, high, r, r * rng.uniform(0.3, 1.2), int(rng.integers(0, 3)))
        y += r + tall
    return model


def _large_box(rng: Rng, t: Floats) -> Model:
    """A bus, lorry, fridge or stall."""
    model = Model()
    w, h, d = rng.uniform(0.2, 0.7), rng.uniform(0.5, 1.6), rng.uniform(0.2, 2.0)
    model.box((-w, 0.08, -d), (w, h, d), 0)
    for i in range(int(rng.integers(0, 6))):
        z = -d + (i + 0.5) * d / 3
        for x in (-w, w):
            model.box((x - 0.01, 0.5 * h, z - 0.12 * d), (x + 0.01, 0.85 * h, z + 0.12 * d), 1,
                      -0.05)  # fmt: skip
    return model


def _planks(rng: Rng, t: Floats) -> Model:
    """Standing or leaning boards, surfboards, ladders and poles."""
    model = Model()
    for _ in range(int(rng.integers(1, 5))):
        x, lean = rng.normal(0, 0.25), rng.normal(0, 0.2)
        tall, wide = rng.uniform(0.5, 1.6), rng.uniform(0.01, 0.14)
        points = [model.point(x, 0.02, 0), model.point(x + lean, tall, 0)]
        points += [model.point(x + lean / 2 + s * wide, tall / 2, 0) for s in (-1, 1)]
        model.hull(tuple(points), 0.02, int(rng.integers(0, 3)))
    return model


MAKERS: tuple[Callable[[Rng, Floats], Model], ...] = (
    _set_table,
    _set_table,
    _rail,
    _bananas,
    _large_animal,
    _pots,
    _large_box,
    _planks,
)
