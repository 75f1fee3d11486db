"""Light and occlusion of a scene: shadows, patches of light, and objects close to the lens."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stadkit.synth.camera import Camera, CameraView
from stadkit.synth.draws import Floats, Pixels, Rng, colour, happens, pick
from stadkit.synth.figure import FINE, FLAT, Canvas, fine
from stadkit.synth.texture import NEUTRAL, cloth, foliage, noise, to_pixels

COVER = 65535  # the id of occluders that are not figures


@dataclass(frozen=True)
class Light:
    """Direction of the light, and its shadows and patches."""

    lean: Floats  # [2]  ground offset x, z of a shadow per unit of height
    strength: float  # 0..1, of the ground shadows
    softness: float  # pixels at an image height of 144
    side: Floats  # [2]  direction of the light in the image, for shading
    patches: Pixels | None  # [H, W]  gain times FLAT over the image


def draw_light(rng: Rng, height: int, width: int) -> Light:
    """Draw sunlight or indoor light."""
    sunny = happens(rng, 0.35)
    return Light(
        lean=rng.normal(0, 0.7 if sunny else 0.12, 2),
        strength=rng.uniform(0.3, 0.65) if sunny else rng.uniform(0.1, 0.45),
        softness=rng.uniform(0.6, 1.5) if sunny else rng.uniform(1.5, 4.0),
        side=np.array([rng.uniform(-1, 1), -0.6]),
        patches=_patches(rng, height, width) if happens(rng, 0.4) else None,
    )


def _patches(rng: Rng, height: int, width: int) -> Pixels:
    if happens(rng, 0.5):
        gain = 1 + rng.uniform(0.05, 0.25) * noise(rng, height, width, 3, rng.uniform(0.5, 2))
    else:  # light from a window, or the shade of a house
        gain = np.ones((height, width), np.float32)
        corners = rng.uniform(-0.3, 1.3, (4, 2)) * (width, height)
        hull = cv2.convexHull(corners.astype(np.float32))[:, 0].astype(np.int32)
        cv2.fillConvexPoly(gain, hull, (rng.uniform(0.5, 1.4),))
        gain = np.asarray(cv2.GaussianBlur(gain, (0, 0), rng.uniform(0.6, 6)), np.float32)
    return np.asarray((np.clip(gain, 0.45, 1.6) * FLAT).astype(np.uint8))


def shadow_view(camera: Camera, light: Light, world: Floats) -> CameraView:
    """Project points [T, K, 3] to their shadows on the ground, and these to the image."""
    thrown = world.copy()
    height = world[..., 1]
    thrown[..., 0] += light.lean[0] * height
    thrown[..., 2] += light.lean[1] * height
    thrown[..., 1] = 0
    return camera.see(thrown)


def lay_shadows(pixels: Pixels, shadows: list[Floats], light: Light) -> Pixels:
    """Darken the convex hulls of shadow points [K, 2], at half resolution."""
    height, width = pixels.shape[0] // 2 + 1, pixels.shape[1] // 2 + 1
    mask = np.full((height, width), 255, np.uint8)
    level = 255 * (1 - light.strength)
    for points in shadows:
        hull = cv2.convexHull((points / 2).astype(np.float32))[:, 0]
        cv2.fillConvexPoly(mask, fine(np.asarray(hull)), (level,), cv2.LINE_8, FINE)
    soft = cv2.GaussianBlur(mask, (0, 0), light.softness * height / 72)
    soft = cv2.resize(soft, (pixels.shape[1], pixels.shape[0]))
    return np.asarray(cv2.multiply(pixels, cv2.merge([soft, soft, soft]), scale=1 / 255), np.uint8)


def lay_patches(pixels: Pixels, patches: Pixels) -> Pixels:
    """Apply patches of light [H, W] to the image."""
    gain = cv2.merge([patches, patches, patches])
    return np.asarray(cv2.multiply(pixels, gain, scale=1 / FLAT), np.uint8)


@dataclass(frozen=True)
class Cover:
    """An occluder: an image and its mask."""

    pixels: Pixels  # [H, W, 3]
    mask: Pixels  # [H, W]  255 inside

    def lay(self, canvas: Canvas, shift: Floats) -> None:
        """Paint it over the canvas, moved by shift [2] pixels."""
        place = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)
        size = (self.mask.shape[1], self.mask.shape[0])
        mask = cv2.warpAffine(self.mask, place, size, flags=cv2.INTER_NEAREST)
        moved = cv2.warpAffine(self.pixels, place, size, borderMode=cv2.BORDER_REPLICATE)
        cv2.copyTo(moved, mask, canvas.pixels)
        canvas.ids[mask > 0] = COVER


def draw_cover(rng: Rng, height: int, width: int) -> Cover:
    """Draw a table, leaves, bars, chair backs or a door edge, often out of focus."""
    mask = np.zeros((height, width), np.uint8)
    kind = pick(rng, (1.0, 1.0, 0.6, 0.8, 0.8))
    if kind == 0:
        _table_mask(rng, mask)
    elif kind == 1:
        _leaf_mask(rng, mask)
    elif kind == 2:
        _bar_mask(rng, mask)
    elif kind == 3:
        _oval_mask(rng, mask)
    else:
        _door_mask(rng, mask)
    pixels = _texture(rng, height, width, leafy=kind == 1)
    if happens(rng, 0.4):
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 3)), np.uint8)
    return Cover(pixels, mask)


def _texture(rng: Rng, height: int, width: int, leafy: bool) -> Pixels:
    if leafy:
        green = np.array([rng.uniform(30, 120), rng.uniform(60, 150), rng.uniform(20, 90)])
        return foliage(rng, height, width, green, rng.uniform(0.6, 2))
    if happens(rng, 0.4):
        base, tile = cloth(rng, 0.1)
        large = cv2.resize(tile, (width, height), interpolation=cv2.INTER_LINEAR)
        return to_pixels(base * (np.asarray(large, np.float64) / NEUTRAL))
    rough = 1 + rng.uniform(0.01, 0.15) * noise(rng, height, width, 6, rng.uniform(0.5, 2))
    slope = np.linspace(rng.uniform(0.7, 1.0), rng.uniform(0.9, 1.2), height)[:, None]
    return to_pixels(colour(rng) * (rough * slope)[..., None])


def _table_mask(rng: Rng, mask: Pixels) -> None:
    height, width = mask.shape
    x, y = rng.uniform(-0.1, 0.8) * width, rng.uniform(0.62, 0.92) * height
    wide, lean = rng.uniform(0.15, 0.7) * width, rng.normal(0, 0.08, 2) * height
    corners = np.array([[x, y + lean[0]], [x + wide, y + lean[1]], [x + wide, height], [x, height]])
    cv2.fillConvexPoly(mask, corners.astype(np.int32), (255,), cv2.LINE_8)


def _leaf_mask(rng: Rng, mask: Pixels) -> None:
    height, width = mask.shape
    ramp = np.linspace(-1.5, 1.5, height)[:, None] - rng.uniform(0.7, 1.5)
    if happens(rng, 0.25):
        ramp = ramp[::-1]
    if happens(rng, 0.4):
        ramp = ramp + 1.2 * np.abs(np.linspace(-1, 1, width))[None] - 0.4
    mask[ramp + 0.45 * noise(rng, height, width, 7, 0.6) > 0] = 255


def _bar_mask(rng: Rng, mask: Pixels) -> None:
    height, width = mask.shape
    step, thick = (
        int(width * rng.uniform(0.06, 0.25)),
        max(1, int(width * rng.uniform(0.008, 0.03))),
    )
    top = int(height * rng.uniform(0.3, 0.8))
    for x in range(int(rng.integers(0, step)), width, step):
        cv2.line(mask, (x, top), (x + int(rng.normal(0, 2)), height), (255,), thick)
    cv2.line(mask, (0, top), (width, top + int(rng.normal(0, 6))), (255,), thick)


def _oval_mask(rng: Rng, mask: Pixels) -> None:
    height, width = mask.shape
    for _ in range(int(rng.integers(1, 4))):
        at = (int(rng.uniform(0, 1) * width), int(rng.uniform(0.8, 1.15) * height))
        axes = (int(rng.uniform(0.04, 0.2) * width), int(rng.uniform(0.08, 0.3) * height))
        cv2.ellipse(mask, at, axes, rng.uniform(-30, 30), 0, 360, (255,), -1)


def _door_mask(rng: Rng, mask: Pixels) -> None:
    height, width = mask.shape
    x, lean = rng.uniform(0.03, 0.25) * width, rng.normal(0, 0.05) * width
    corners = np.array([[-1, -1], [x, -1], [x + lean, height], [-1, height]])
    if happens(rng, 0.5):
        corners[:, 0] = width - corners[:, 0]
    cv2.fillConvexPoly(mask, corners.astype(np.int32), (255,), cv2.LINE_8)
