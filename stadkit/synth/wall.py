"""Walls with objects on and in front of them, mainly upright distractors."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from stadkit.synth.draws import Floats, Pixels, Rng, colour, cv_colour, happens, muted, pick
from stadkit.synth.texture import foliage, noise, to_pixels

Box = tuple[int, int, int, int]  # x1 y1 x2 y2


def paint_wall(rng: Rng, height: int, width: int, plain: bool = False) -> Pixels:
    """Paint a wall [height, width, 3] with objects; `plain` (a facade): only windows and doors."""
    wall = np.empty((height, width, 3), np.float32)
    wall[:] = muted(rng)
    wall *= (1 + rng.uniform(0.01, 0.1) * noise(rng, height, width, 7, rng.uniform(0.4, 1.5)))[
        ..., None
    ]
    if happens(rng, 0.4):
        _courses(rng, wall)
    pixels = to_pixels(wall)
    if happens(rng, 0.4) and not plain:
        skirting = int(height * rng.uniform(0.02, 0.4))
        pixels[-skirting:] = to_pixels(pixels[-skirting:] * rng.uniform(0.5, 1.3, 3))
    weights = (0, 0, 0, 0, 1, 3, 1, 0, 0) if plain else WEIGHTS
    for _ in range(int(rng.integers(3, 15))):
        OBJECTS[pick(rng, weights)](rng, pixels)
    return pixels


def _courses(rng: Rng, wall: Floats) -> None:
    """Paint bricks, panels or wallpaper stripes."""
    width = wall.shape[1]
    step, gain = int(rng.integers(4, 26)), rng.uniform(0.65, 1.25)
    if happens(rng, 0.6):
        wall[::step] *= gain
    if happens(rng, 0.7):
        across = max(2, int(step * rng.uniform(0.8, 2.5)))
        thick = max(1, int(across * rng.uniform(0.02, 0.5)))
        for x in range(0, width, across):
            wall[:, x : x + thick] *= gain


def _place(rng: Rng, pixels: Pixels, wide: tuple[float, float], tall: tuple[float, float]) -> Box:
    """Draw a box with sides in wall heights; half of them stand on the floor."""
    height, width = pixels.shape[:2]
    w = max(3, int(height * rng.uniform(*wide)))
    h = max(3, int(height * rng.uniform(*tall)))
    x = int(rng.uniform(-0.5 * w, width - 0.5 * w))
    y = height - h if happens(rng, 0.5) else int(rng.uniform(0, max(height - h, 1)))
    return x, y, x + w, y + h


def _crop(pixels: Pixels, box: Box) -> Pixels:
    x1, y1, x2, y2 = box
    return pixels[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]


def _curtain(rng: Rng, pixels: Pixels) -> None:
    """Paint a curtain: vertical light and dark folds that resemble legs and sleeves."""
    part = _crop(pixels, _place(rng, pixels, (0.1, 0.9), (0.5, 1.0)))
    if not part.size:
        return
    h, w = part.shape[:2]
    x = np.linspace(0, 1, w)[None]
    wobble = 0.03 * noise(rng, h, w, 2, 2.0)
    folds = np.sin(2 * np.pi * (rng.uniform(2, 12) * (x + wobble) + rng.random()))
    folds += 0.5 * np.sin(2 * np.pi * rng.uniform(8, 30) * (x + wobble))
    part[:] = to_pixels(colour(rng) * (1 + rng.uniform(0.06, 0.25) * folds)[..., None])


def _shelf(rng: Rng, pixels: Pixels) -> None:
    x1, y1, x2, y2 = _place(rng, pixels, (0.25, 0.9), (0.3, 0.95))
    cv2.rectangle(pixels, (x1, y1), (x2, y2), cv_colour(muted(rng), 0.6), -1)
    row = max(6, int((y2 - y1) / rng.integers(2, 7)))
    for y in range(y1 + 1, y2 - 4, row):
        x = x1 + 1
        while x < x2 - 2:
            wide = int(rng.integers(2, 9))
            if happens(rng, 0.85):
                top = y + int(row * rng.uniform(0.1, 0.45))
                cv2.rectangle(
                    pixels,
                    (x, top),
                    (min(x + wide, x2) - 1, y + row - 2),
                    cv_colour(colour(rng)),
                    -1,
                )
            x += wide


def _picture(rng: Rng, pixels: Pixels) -> None:
    box = _place(rng, pixels, (0.1, 0.5), (0.1, 0.4))
    part = _crop(pixels, box)
    if not part.size:
        return
    h, w = part.shape[:2]
    mix = noise(rng, h, w, 6, 0.7)[..., None]
    part[:] = to_pixels(colour(rng) * (0.6 + 0.3 * mix) + colour(rng) * (0.4 - 0.3 * mix))
    cv2.rectangle(pixels, box[:2], box[2:], cv_colour(colour(rng)), int(rng.integers(1, 4)))


def _plant(rng: Rng, pixels: Pixels) -> None:
    part = _crop(pixels, _place(rng, pixels, (0.15, 0.6), (0.2, 0.9)))
    if not part.size:
        return
    h, w = part.shape[:2]
    green = np.array([rng.uniform(30, 110), rng.uniform(60, 150), rng.uniform(20, 90)])
    leaves = foliage(rng, h, w, green, rng.uniform(0.3, 1.0))
    y, x = np.ogrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    blob = x * x + y * y + 0.3 * noise(rng, h, w, 6, 0.5) < 0.8
    part[blob] = leaves[blob]


def _door(rng: Rng, pixels: Pixels) -> None:
    height = pixels.shape[0]
    x1, _, x2, _ = _place(rng, pixels, (0.25, 0.5), (0.6, 0.6))
    y1, leaf = int(height * rng.uniform(0.2, 0.5)), muted(rng)
    frame = cv_colour(muted(rng), rng.uniform(0.6, 1.3))
    cv2.rectangle(pixels, (x1 - 3, y1 - 3), (x2 + 3, height), frame, -1)
    cv2.rectangle(pixels, (x1, y1), (x2, height), cv_colour(leaf), -1)
    for i in range(int(rng.integers(0, 4))):
        top = y1 + 5 + i * (height - y1) // 3
        corner = (x2 - 5, top + (height - y1) // 4)
        cv2.rectangle(pixels, (x1 + 5, top), corner, cv_colour(leaf, rng.uniform(0.7, 1.2)), 2)
    cv2.circle(pixels, (x2 - 5, (y1 + height) // 2), 2, (60, 60, 60), -1)


def _window(rng: Rng, pixels: Pixels) -> None:
    box = _place(rng, pixels, (0.15, 0.7), (0.2, 0.6))
    part = _crop(pixels, box)
    if not part.size:
        return
    ramp = np.linspace(0, 1, part.shape[0])[:, None, None]
    part[:] = to_pixels(
        rng.uniform(60, 250) * (1 - ramp) + muted(rng) * ramp * rng.uniform(0.3, 1.1)
    )
    frame, thick = cv_colour(np.full(3, rng.uniform(30, 240))), int(rng.integers(1, 4))
    cv2.rectangle(pixels, box[:2], box[2:], frame, thick)
    middle = (box[0] + box[2]) // 2
    cv2.line(pixels, (middle, box[1]), (middle, box[3]), frame, thick)
    if happens(rng, 0.5):
        level = (box[1] + box[3]) // 2
        cv2.line(pixels, (box[0], level), (box[2], level), frame, thick)


def _panel(rng: Rng, pixels: Pixels) -> None:
    """Paint a cupboard, board, screen or radiator: a box with lines."""
    x1, y1, x2, y2 = _place(rng, pixels, (0.05, 0.6), (0.08, 0.8))
    rgb = colour(rng)
    cv2.rectangle(pixels, (x1, y1), (x2, y2), cv_colour(rgb), -1)
    if happens(rng, 0.6):
        cv2.rectangle(pixels, (x1, y1), (x2, y2), cv_colour(colour(rng)), int(rng.integers(1, 3)))
    for _ in range(int(rng.integers(0, 9))):
        if happens(rng, 0.5):
            x = int(rng.uniform(x1, x2))
            cv2.line(pixels, (x, y1), (x, y2), cv_colour(rgb, rng.uniform(0.5, 1.4)), 1)
        else:
            y = int(rng.uniform(y1, y2))
            cv2.line(pixels, (x1, y), (x2, y), cv_colour(rgb, rng.uniform(0.5, 1.4)), 1)


def _hanger(rng: Rng, pixels: Pixels) -> None:
    """Paint a coat on a hook: shoulders and sleeves without head or legs."""
    height = pixels.shape[0]
    x1, y1, x2, y2 = _place(rng, pixels, (0.16, 0.3), (0.25, 0.5))
    y1, y2 = y1 - height // 6, y2 - height // 6
    w, h, rgb = x2 - x1, y2 - y1, colour(rng)
    body = np.array([[0.5, 0.0], [0.8, 0.12], [0.95, 0.75], [0.8, 1.0], [0.2, 1], [0.05, 0.75],
                     [0.2, 0.12]])  # fmt: skip
    points = (body * (w, h) + (x1, y1)).astype(np.int32)
    cv2.fillPoly(pixels, [points], cv_colour(rgb), cv2.LINE_AA)
    for _ in range(int(rng.integers(2, 7))):
        x = int(x1 + w * rng.uniform(0.2, 0.8))
        end = (x + int(rng.normal(0, 2)), y2 - 3)
        cv2.line(
            pixels, (x, y1 + h // 5), end, cv_colour(rgb, rng.uniform(0.6, 1.25)), 2, cv2.LINE_AA
        )


def _post(rng: Rng, pixels: Pixels) -> None:
    """Paint a column, pipe or trunk: a vertical cylinder lit from one side."""
    part = _crop(pixels, _place(rng, pixels, (0.04, 0.25), (0.7, 1.0)))
    if not part.size:
        return
    h, w = part.shape[:2]
    curvature = np.sqrt(np.maximum(1 - np.linspace(-0.95, 0.75, w) ** 2, 0))[None]
    bark = 1 + rng.uniform(0, 0.2) * noise(rng, h, w, 7, 0.5)
    part[:] = to_pixels(colour(rng) * ((0.4 + 0.7 * curvature) * bark)[..., None])


OBJECTS: tuple[Callable[[Rng, Pixels], None], ...] = (
    _curtain,
    _shelf,
    _picture,
    _plant,
    _door,
    _window,
    _panel,
    _hanger,
    _post,
)
WEIGHTS = (1.0, 0.9, 1.0, 0.8, 0.7, 0.9, 1.4, 0.6, 0.9)
