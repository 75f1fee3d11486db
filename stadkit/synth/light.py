"""Scene light: shadows on the ground, and patches of light and shade over the whole image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stadkit.synth.camera import Camera, View
from stadkit.synth.draws import Floats, Pixels, Rng, happens
from stadkit.synth.figure import FINE, FLAT, fine
from stadkit.synth.texture import noise


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


def shadow_view(camera: Camera, light: Light, world: Floats) -> View:
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
