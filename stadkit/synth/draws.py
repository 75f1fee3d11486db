"""Random draws shared by all scenes, using the clip's generator."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]
Rng = np.random.Generator


def pick(rng: Rng, weights: Sequence[float]) -> int:
    """Draw an index with these weights, which need not sum to one."""
    # Generator.choice takes twenty times as long.
    left = rng.random() * sum(weights)
    for i, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return i
    return len(weights) - 1


def happens(rng: Rng, chance: float) -> bool:
    """True with this probability."""
    return bool(rng.random() < chance)


def colour(rng: Rng) -> Floats:
    """Draw an artificial colour [3], RGB 5..250: dark grey, light grey, or a hue."""
    kind = rng.random()
    if kind < 0.28:
        rgb = rng.uniform(15, 80) + rng.uniform(-12, 12, 3)
    elif kind < 0.5:
        rgb = rng.uniform(140, 245) + rng.uniform(-15, 15, 3)
    elif kind < 0.62:
        return muted(rng)
    else:
        saturation = rng.uniform(0.12, 0.9)
        rgb = 255 * np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.2, 0.95)))
    return np.clip(rgb, 5, 250)


def muted(rng: Rng) -> Floats:
    """Draw a muted colour [3], RGB, for walls and grounds: mostly warm or grey, medium bright."""
    hue = rng.normal(0.09, 0.04) if happens(rng, 0.5) else rng.random()
    saturation = 0.55 * rng.random() ** 2
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, saturation, rng.uniform(0.25, 0.92)))


def cv_colour(rgb: Floats, gain: float = 1.0) -> tuple[float, float, float]:
    """A colour [3] times a gain as an OpenCV scalar, clipped to 0..255."""
    r, g, b = (rgb * gain).tolist()
    return min(max(r, 0.0), 255.0), min(max(g, 0.0), 255.0), min(max(b, 0.0), 255.0)
