"""Painting figures: parts back to front, then cloth and shading over the silhouette."""

from __future__ import annotations

import math

import cv2
import numpy as np

from stadkit.synth.camera import CameraView
from stadkit.synth.draws import Floats, Pixels
from stadkit.synth.figure import (
    FINE,
    FIRST_PROP_MATERIAL,
    FLAT,
    MATERIALS,
    Canvas,
    Figure,
    Material,
    Shapes,
)
from stadkit.synth.texture import NEUTRAL, TILE

# For each shading step its position from rim to core, and its level from dark to light. The last
# steps are narrower than the core, as on a cylinder.
LEVELS = ((0.4, 0.4), (0.8, 0.7), (1.2, 0.9), (1.6, 1.0))
MIN_STEP_SCALE = 60  # pixels per body height from which these steps are visible
MIN_CLOTH_PIXELS = 20  # of a material, for its cloth to be visible

Area = tuple[slice, slice]  # rows, columns


def draw(figure: Figure, shapes: Shapes, t: int, canvas: Canvas) -> int:
    """Paint a figure at frame t; returns the pixels of its own parts, before occlusion."""
    area = _area(shapes.extent[t], canvas.ids.shape)
    if area is None:
        return 0
    first = figure.number * MATERIALS
    canvas.shade[area] = FLAT
    behind = canvas.pixels[area].copy() if figure.round else None
    for n in shapes.order[t].tolist():
        if figure.visible is None or figure.visible[t, n]:
            _draw_part(figure, shapes, n, t, canvas, first)
            if n == figure.face_after and figure.face is not None:
                view = shapes.view
                figure.face(canvas, view.uv[t], view.scale[t], view.depth[t], first)
    ids = canvas.ids[area]
    mask = (ids >= first) & (ids < first + MATERIALS)
    covered = int(np.count_nonzero(mask & (ids < first + FIRST_PROP_MATERIAL)))
    if mask.any():
        _lay_cloths(figure, shapes.view, t, canvas, area)
        _lay_shade(shapes.view.scale[t, 0], canvas, area, mask.view(np.uint8), figure.round)
        if behind is not None:
            _soften(canvas.pixels[area], behind, mask.view(np.uint8))
    return covered


def _area(extent: Floats, size: tuple[int, ...]) -> Area | None:
    """The rows and columns of the image around x1 y1 x2 y2; None if outside the image."""
    x1, y1, x2, y2 = (int(min(max(v, -9.0), 9999.0)) for v in extent.tolist())
    x1, y1, x2, y2 = max(x1 - 2, 0), max(y1 - 2, 0), min(x2 + 3, size[1]), min(y2 + 3, size[0])
    if x2 - x1 < 2 or y2 - y1 < 2:
        return None
    return slice(y1, y2), slice(x1, x2)


def _draw_part(figure: Figure, shapes: Shapes, n: int, t: int, canvas: Canvas, first: int) -> None:
    material = figure.parts[n].material
    rim = shapes.rim[t][n]
    dark, light = figure.contrast
    # Not anti-aliased: cloth and shading cover exactly these pixels, and every camera blurs a
    # little.
    cv2.fillConvexPoly(canvas.pixels, rim, figure.materials[material].cv_colour, cv2.LINE_8, FINE)
    cv2.fillConvexPoly(canvas.ids, rim, (first + material,), cv2.LINE_8, FINE)
    cv2.fillConvexPoly(canvas.shade, rim, (FLAT * dark,), cv2.LINE_8, FINE)
    core = shapes.core[t][n]
    near = shapes.view.scale[t, 0] > MIN_STEP_SCALE
    if figure.round and near and len(core) == len(rim):
        for s, lit in LEVELS:
            level = np.rint(rim + s * (core - rim)).astype(np.int32)
            gain = FLAT * (dark + (light - dark) * lit)
            cv2.fillConvexPoly(canvas.shade, level, (gain,), cv2.LINE_8, FINE)
        return
    cv2.fillConvexPoly(canvas.shade, core, (FLAT * light,), cv2.LINE_8, FINE)


def _lay_cloths(figure: Figure, view: CameraView, t: int, canvas: Canvas, area: Area) -> None:
    ids, pixels = canvas.ids[area], canvas.pixels[area]
    low, high = figure.axis
    unit = float(view.scale[t, low])
    ends = (view.uv[t, low].tolist(), view.uv[t, high].tolist())
    for m in sorted({part.material for part in figure.parts}):
        material = figure.materials[m]
        if material.tile is None:
            continue
        material_mask = (ids == figure.number * MATERIALS + m).view(np.uint8)
        if cv2.countNonZero(material_mask) >= MIN_CLOTH_PIXELS:
            place = _tile_to_area(ends, unit, material.tile_size, area)
            cv2.copyTo(_times_cloth(pixels, material, place), material_mask, pixels)


def _times_cloth(pixels: Pixels, material: Material, place: Floats) -> Pixels:
    enlarged = math.hypot(place[0, 0], place[1, 0]) > 0.8
    warped = cv2.warpAffine(
        material.spread,
        place,
        (pixels.shape[1], pixels.shape[0]),
        flags=cv2.INTER_LINEAR if enlarged else cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(cv2.multiply(pixels, warped, scale=1 / NEUTRAL), np.uint8)


def _tile_to_area(
    ends: tuple[list[float], list[float]], unit: float, size: float, area: Area
) -> Floats:
    """Affine map [2, 3] from a spread tile to the area: centred between the ends, its rows from
    the high end to the low one; `unit`: pixels per body height."""
    (x1, y1), (x2, y2) = ends
    down_x, down_y = x1 - x2, y1 - y2
    pixel = size * unit / TILE / max(math.hypot(down_x, down_y), 0.08 * unit)
    down_x, down_y = down_x * pixel, down_y * pixel
    half = 1.5 * TILE
    x = (x1 + x2) / 2 - (down_y + down_x) * half - area[1].start
    y = (y1 + y2) / 2 - (down_y - down_x) * half - area[0].start
    return np.array([[down_y, down_x, x], [-down_x, down_y, y]])


def _lay_shade(scale: float, canvas: Canvas, area: Area, mask: Pixels, sharp: bool = False) -> None:
    pixels = canvas.pixels[area]
    width = min(int(scale * (0.008 if sharp else 0.03)) * 2 + 3, 31)
    soft = cv2.blur(cv2.blur(canvas.shade[area], (width, width)), (width, width))
    soft = cv2.merge([soft, soft, soft])
    cv2.copyTo(cv2.multiply(pixels, soft, scale=1 / FLAT), mask, pixels)


def _soften(pixels: Pixels, behind: Pixels, mask: Pixels) -> None:
    """Blend a figure's edge with the background; `mask` [H, W] is 1 on the figure."""
    cover = cv2.blur(mask * np.uint8(255), (3, 3))
    edge = ((cover < 255) & (mask > 0)).view(np.uint8)
    cover = cv2.merge([cover, cover, cover])
    mixed = cv2.add(
        cv2.multiply(pixels, cover, scale=1 / 255),
        cv2.multiply(behind, cv2.bitwise_not(cover), scale=1 / 255),
    )
    cv2.copyTo(mixed, edge, pixels)
