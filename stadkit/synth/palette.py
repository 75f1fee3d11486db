"""Colours as photographs have them: woods, greys, greens, skins; few loud ones."""

from __future__ import annotations

import numpy as np

from stadkit.synth.chance import Floats, Rng, colour, happens, pick
from stadkit.synth.look import SKINS

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


def of(rng: Rng, family: tuple[tuple[int, int, int], ...]) -> Floats:
    """A colour [3] of this family, RGB 5..250."""
    rgb = np.array(family[int(rng.integers(0, len(family)))], np.float64)
    return np.clip(rgb * rng.uniform(0.78, 1.2) + rng.normal(0, 6, 3), 5, 250)


def natural(rng: Rng) -> Floats:
    """A colour [3] of things about us; a tenth of them is loud."""
    if happens(rng, 0.1):
        return colour(rng)
    return of(rng, FAMILIES[pick(rng, WEIGHTS)])


def skin(rng: Rng) -> Floats:
    """A skin [3], between those of SKINS too."""
    a, b = SKINS[rng.integers(0, len(SKINS), 2)]
    mix = a + (b - a) * rng.random() if happens(rng, 0.5) else a
    return np.asarray(np.clip(mix * rng.uniform(0.8, 1.08) * rng.normal(1, 0.025, 3), 5, 250))
