"""Cameras and light of photographs: casts, low light, vignettes, halos, strong compression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stadkit.synth.chance import Pixels, Rng, happens
from stadkit.synth.degrade import Camcorder, draw_camcorder
from stadkit.synth.figure import FLAT
from stadkit.synth.light import Light, draw_light


def draw_photo(rng: Rng) -> Camcorder:
    """A camera whose colours and faults vary further than a camcorder's."""
    grey, dim = happens(rng, 0.08), happens(rng, 0.07)
    return replace(
        draw_camcorder(rng),
        curve=_curve(rng, dim),
        saturation=0.0 if grey else rng.uniform(0.55, 1.15) if happens(rng, 0.6) else 1.0,
        shrink=rng.uniform(1.2, 2.0) if happens(rng, 0.15) else 1.0,
        grain=rng.uniform(3, 9) if dim else rng.uniform(0.5, 5) if happens(rng, 0.5) else 0.0,
        quality=int(rng.uniform(25, 95)) if happens(rng, 0.8) else 0,
        sharpen=rng.uniform(0.3, 1.2) if happens(rng, 0.4) else 0.0,
    )


def _curve(rng: Rng, dim: bool) -> Pixels:
    """One tint for all there is, then gamma and contrast; a curve like a film's where steep."""
    tint = np.exp(rng.normal(0, 0.05, 3) + rng.normal(0, 0.09) * np.array([1.0, 0.1, -1.0]))
    gain = rng.uniform(0.5, 0.8) if dim else rng.uniform(0.95, 1.3)
    level = np.linspace(0, 1, 256)[:, None] * tint * gain
    level = np.clip(level, 0, 1) ** np.exp(rng.normal(-0.08, 0.18))
    steep = rng.uniform(-0.3, 0.35)
    level = level + steep * (level - 0.5) * level * (1 - level) * 4
    level = level + rng.uniform(-0.03, 0.06)
    return np.asarray((np.clip(level, 0, 1) * 255).astype(np.uint8)[None])


def draw_photo_light(rng: Rng, height: int, width: int) -> Light:
    """Light with, often, the dark corners of a lens."""
    light = draw_light(rng, height, width)
    if not happens(rng, 0.4):
        return light
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    corners = 1 - rng.uniform(0.1, 0.55) * ((x * x + y * y) / 2) ** rng.uniform(0.8, 1.6)
    patches = light.patches if light.patches is not None else np.full_like(corners, FLAT)
    return replace(light, patches=np.clip(patches * corners, 0, 255).astype(np.uint8))
