"""The background: ground in perspective, and a wall or an outdoor horizon."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stadkit.synth.camera import Camera
from stadkit.synth.draws import Floats, Pixels, Rng, colour, cv_colour, happens, muted, pick
from stadkit.synth.texture import foliage, noise, to_pixels
from stadkit.synth.wall import paint_wall

MARGIN = 32  # pixels painted beyond the frame, for camera sway
GROUND = 224  # side of the ground texture in pixels
WALL_HEIGHT, WALL_WIDTH = 160, 320
WALL_TALL = 2.0  # body heights
_MARGIN_SHIFT = np.array([[1, 0, MARGIN], [0, 1, MARGIN], [0, 0, 1]], np.float64)


@dataclass(frozen=True)
class Backdrop:
    """The static background image."""

    pixels: Pixels  # [H + 2 * MARGIN, W + 2 * MARGIN, 3]

    def at(self, sway: Floats, width: int, height: int) -> Pixels:
        """The background [height, width, 3] under the camera's sway [2, 3]."""
        place = sway.copy()
        place[:, 2] -= place[:, :2] @ np.array([MARGIN, MARGIN])
        return np.asarray(
            cv2.warpAffine(self.pixels, place, (width, height), borderMode=cv2.BORDER_REFLECT_101),
            np.uint8,
        )


def draw_backdrop(rng: Rng, camera: Camera, wall: float) -> Backdrop:
    """Draw a background whose ground ends `wall` body heights away."""
    size = (camera.image_height + 2 * MARGIN, camera.width + 2 * MARGIN)
    indoors = happens(rng, 0.6)
    pixels = paint_sky(rng, size)
    lay_ground(rng, camera, pixels, *_ground_texture(rng, indoors))
    if indoors:
        lay_wall(rng, camera, pixels, paint_wall(rng, WALL_HEIGHT, WALL_WIDTH), wall)
    else:
        put_distance(rng, camera, pixels, wall)
    return Backdrop(_finish(rng, pixels))


def paint_sky(rng: Rng, size: tuple[int, int]) -> Pixels:
    """Paint a sky [*size, 3] with clouds."""
    low, high = rng.uniform(120, 245, 3), rng.uniform(90, 230, 3)
    high[2] = max(high[2], rng.uniform(140, 235))
    ramp = np.linspace(0, 1, size[0])[:, None, None]
    sky = np.broadcast_to(high * (1 - ramp) + low * ramp, (*size, 3)).copy()
    if happens(rng, 0.6):
        clouds = np.maximum(noise(rng, *size, 6, 2.0) - rng.uniform(-0.5, 0.8), 0)
        sky += (clouds * rng.uniform(10, 45))[..., None]
    return to_pixels(sky)


def _warp(homography: Floats, texture: Pixels, size: tuple[int, int]) -> Pixels:
    """Warp the texture, repeated by reflection, to a plane in the image [*size, 3] with margin."""
    height, width = texture.shape[:2]
    # Warping inside an image is much faster than beyond its border.
    wide = cv2.copyMakeBorder(texture, height, height, width, width, cv2.BORDER_REFLECT_101)
    inner = np.array([[1, 0, -width], [0, 1, -height], [0, 0, 1]], np.float64)
    warped = cv2.warpPerspective(
        wide,
        _MARGIN_SHIFT @ homography @ inner,
        (size[1], size[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(warped, np.uint8)


def lay_ground(rng: Rng, camera: Camera, pixels: Pixels, texture: Pixels, cell: float) -> None:
    """Paint the ground below the horizon; a texture pixel is `cell` body heights."""
    angle = 0.0 if happens(rng, 0.5) else rng.uniform(-0.8, 0.8)
    across = cell * np.array([np.cos(angle), 0, np.sin(angle)])
    along = cell * np.array([-np.sin(angle), 0, np.cos(angle)])
    homography = camera.plane(rng.uniform(-2, 2, 3) * (1, 0, 1), across, along)
    warped = _warp(homography, texture, pixels.shape[:2])
    # Distant ground is finer than a pixel: fade to its mean.
    row = np.arange(pixels.shape[0]) - MARGIN - camera.horizon
    below = row > 0.5
    clear = np.clip(row * cell * 6, 0, 1)[:, None, None]
    mean = np.array(cv2.mean(texture)[:3])
    mixed = to_pixels(warped * clear + mean * (1 - clear))
    pixels[below] = mixed[below]


def _ground_texture(rng: Rng, indoors: bool) -> tuple[Pixels, float]:
    """A texture [GROUND, GROUND, 3] and the size of its pixels in body heights."""
    kinds = ("planks", "tiles", "carpet", "plain", "court") if indoors else OUTDOORS
    kind = kinds[pick(rng, (1,) * len(kinds))]
    base = muted(rng)
    if kind == "grass":
        base = np.array([rng.uniform(60, 130), rng.uniform(95, 160), rng.uniform(30, 90)])
        return foliage(rng, GROUND, GROUND, base, 0.5), 0.015
    if kind == "water":
        return _water(rng), 0.02
    texture = np.empty((GROUND, GROUND, 3), np.float32)
    texture[:] = base
    rough = noise(rng, GROUND, GROUND, 7, rng.uniform(0.4, 1.5))
    texture *= 1 + rng.uniform(0.01, 0.16) * rough[..., None]
    if kind in ("planks", "tiles"):
        _lay_boards(rng, texture, kind == "tiles")
    elif kind == "court":
        _line_court(rng, texture)
    elif kind == "carpet":
        _scatter(rng, texture, 30)
    return to_pixels(texture), 0.01


OUTDOORS = ("grass", "grass", "plain", "tiles", "court", "water", "carpet")


def _water(rng: Rng) -> Pixels:
    waves = cv2.resize(
        noise(rng, GROUND, 32, 7, 0.5).astype(np.float32), (GROUND, GROUND)
    )  # long crests
    base = np.array([rng.uniform(40, 120), rng.uniform(90, 150), rng.uniform(110, 180)])
    return to_pixels(base * (1 + 0.22 * waves[..., None]))


def _lay_boards(rng: Rng, texture: Floats, grid: bool) -> None:
    step, gap = int(rng.integers(6, 40)), rng.uniform(0.5, 1.2)
    for x in range(0, GROUND, step):
        texture[:, x : x + step] *= 1 + rng.normal(0, 0.05)
        texture[:, x : x + 1] *= gap
        if grid:
            texture[x : x + 1] *= gap
    if grid and happens(rng, 0.3):
        row, column = np.indices((GROUND, GROUND)) // step
        texture[(row + column) % 2 == 0] *= rng.uniform(0.4, 0.85)


def _line_court(rng: Rng, texture: Floats) -> None:
    line = cv_colour(np.full(3, rng.uniform(180, 250)) if happens(rng, 0.7) else colour(rng))
    for _ in range(int(rng.integers(2, 7))):
        at = int(rng.integers(0, GROUND))
        ends = ((at, 0), (at, GROUND)) if happens(rng, 0.5) else ((0, at), (GROUND, at))
        cv2.line(texture, *ends, line, int(rng.integers(2, 5)), cv2.LINE_AA)
    middle = (int(rng.integers(0, GROUND)), int(rng.integers(0, GROUND)))
    cv2.circle(texture, middle, int(rng.integers(20, 70)), line, 3, cv2.LINE_AA)


def _scatter(rng: Rng, texture: Floats, max_spots: int) -> None:
    for _ in range(int(rng.integers(0, max_spots))):
        at = (int(rng.integers(0, GROUND)), int(rng.integers(0, GROUND)))
        axes = (int(rng.integers(2, 30)), int(rng.integers(2, 18)))
        cv2.ellipse(texture, at, axes, rng.uniform(0, 180), 0, 360, cv_colour(muted(rng)), -1)


def lay_wall(rng: Rng, camera: Camera, pixels: Pixels, texture: Pixels, wall: float) -> None:
    """Paint a wall with this texture `wall` body heights away."""
    height, width = texture.shape[:2]
    # Distant walls are larger, so that the texture rarely repeats in the frame.
    tall = max(WALL_TALL, rng.uniform(0.6, 1.1) * wall * camera.image_height / camera.focal)
    cell = tall / height
    turn = 0.0 if happens(rng, 0.5) else rng.uniform(-0.45, 0.45)
    across = cell * np.array([np.cos(turn), 0, np.sin(turn)])
    start = np.array([0, tall, wall]) - across * rng.uniform(0.35, 0.65) * width
    homography = camera.plane(start, across, np.array([0, -cell, 0]))
    warped = _warp(homography, texture, pixels.shape[:2])
    cv2.copyTo(warped, _above(camera, start + across * width / 2, across, pixels), pixels)


def _above(camera: Camera, middle: Floats, across: Floats, pixels: Pixels) -> Pixels:
    """A mask [H, W] of the image above the base of a wall through `middle`."""
    foot = camera.plane(middle * (1, 0, 1), across, np.zeros(3))
    ends = [_MARGIN_SHIFT @ foot @ np.array([a, 0, 1]) for a in (-20, 20)]
    (u1, v1), (u2, v2) = ((e[0] / max(e[2], 1e-3), e[1] / max(e[2], 1e-3)) for e in ends)
    slope = (v2 - v1) / max(u2 - u1, 1e-3)
    mask = np.zeros(pixels.shape[:2], np.uint8)
    width = pixels.shape[1]
    left, right = (int(np.clip(v1 + slope * (x - u1), -4000, 4000)) for x in (0, width))
    sky = -5000
    corners = np.array([[0, sky], [width, sky], [width, right], [0, left]], np.int32)
    cv2.fillConvexPoly(mask, corners, (255,), cv2.LINE_8)
    return mask


def put_distance(rng: Rng, camera: Camera, pixels: Pixels, wall: float) -> None:
    """Paint hills, houses, trees, hedges and crowds between the ground and the sky."""
    horizon = round(camera.horizon) + MARGIN
    height = pixels.shape[0]
    if not 4 < horizon < height:
        return
    for _ in range(int(rng.integers(1, 4))):
        kind = pick(rng, (0.35, 0.35, 0.3))
        if kind == 0:
            _trees(rng, pixels, horizon, rng.uniform(0.05, 0.7))
        elif kind == 1:
            _houses(rng, pixels, horizon)
        else:
            _trees(rng, pixels, horizon + int(rng.uniform(0, 0.12) * height), 0.1)
    if happens(rng, 0.25):
        _crowd(rng, pixels, horizon + 2)


def _trees(rng: Rng, pixels: Pixels, base: int, tall: float) -> None:
    height, width = pixels.shape[:2]
    base = min(base, height - 1)
    ridge = noise(rng, 4, width, 5, rng.uniform(0.5, 2))[0]
    top = base - np.maximum(tall * height * (0.55 + 0.25 * ridge), 1)
    green = np.array([rng.uniform(30, 110), rng.uniform(50, 130), rng.uniform(20, 80)])
    leaves = foliage(rng, height, width, green, rng.uniform(0.4, 1.5))
    rows = np.arange(height)[:, None]
    mask = (rows >= top[None]) & (rows < base)
    pixels[mask] = leaves[mask]


def _houses(rng: Rng, pixels: Pixels, base: int) -> None:
    width, x = pixels.shape[1], -int(rng.integers(0, 40))
    while x < width:
        wide, tall = int(rng.uniform(15, 90)), int(rng.uniform(0.1, 0.75) * base) + 2
        if happens(rng, 0.7):
            part = pixels[max(base - tall, 0) : base, max(x, 0) : max(x + wide, 0)]
            if part.shape[0] > 7 and part.shape[1] > 7:
                part[:] = paint_wall(rng, part.shape[0], part.shape[1], plain=True)
        x += wide


def _crowd(rng: Rng, pixels: Pixels, base: int) -> None:
    """Paint people under 8 pixels tall, too small to be annotated."""
    for _ in range(int(rng.integers(4, 40))):
        tall = rng.uniform(3, 7.4)
        x = int(rng.integers(0, pixels.shape[1]))
        y = int(base + rng.uniform(0, 4))
        wide = max(1, round(tall * 0.25))
        top, hip = (x, int(y - tall)), (x + wide, int(y - tall * 0.45))
        cv2.rectangle(pixels, top, hip, cv_colour(colour(rng)), -1)
        cv2.rectangle(pixels, (x, hip[1]), (x + wide - 1, y), cv_colour(colour(rng)), -1)
        cv2.circle(pixels, (x + wide // 2, top[1]), 1, (170, 130, 100), -1)


def _finish(rng: Rng, pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    out = pixels.astype(np.float32)
    if happens(rng, 0.6):
        stain = noise(rng, height, width, int(rng.integers(3, 8)), rng.uniform(0.6, 2.0))
        out *= (1 + rng.uniform(0.01, 0.12) * stain)[..., None]
    slope = np.linspace(-1, 1, width)[None, :, None]
    out *= 1 + slope * rng.uniform(-0.3, 0.3)
    if happens(rng, 0.3):
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 2.5)))
    return to_pixels(out)
