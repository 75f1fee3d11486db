"""The look of a person: skin, hair, clothes and accessories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stadkit.synth.draws import Floats, Rng, colour, happens, pick
from stadkit.synth.figure import Material
from stadkit.synth.texture import SKINS, cloth, plain

HAIRS = np.array(
    [[28, 22, 20], [80, 50, 30], [160, 110, 60], [135, 130, 130], [225, 190, 110], [130, 60, 35]],
    np.float64,
)
SKIN, TOP, BOTTOM, HAIR, SHOE, EXTRA, GADGET = range(7)


@dataclass(frozen=True)
class Look:
    """A person's clothes, hair, accessories and shading."""

    materials: tuple[Material, ...]  # skin, top, bottom, hair, shoe, extra, gadget
    sleeves: str  # "long", "short", "none"
    legs: str  # "trousers", "wide", "shorts", "bare"
    skirt: str  # "", "short", "long"
    coat: bool
    hood: bool
    hair: str  # "short", "long", "bald", "full"
    hat: str  # "", "cap", "brim", "helmet"
    bag: str  # "", "backpack", "hand"
    beard: bool
    glasses: bool
    loose: float  # ratio of the radius of clothes to that of the limb
    contrast: tuple[float, float]


def draw_look(rng: Rng) -> Look:
    """Draw a look."""
    skirt = ("", "short", "long")[pick(rng, (0.8, 0.12, 0.08))]
    return Look(
        materials=_draw_materials(rng),
        sleeves=("long", "short", "none")[pick(rng, (0.45, 0.4, 0.15))],
        legs="bare" if skirt else ("trousers", "wide", "shorts")[pick(rng, (0.62, 0.15, 0.23))],
        skirt=skirt,
        coat=happens(rng, 0.13),
        hood=happens(rng, 0.07),
        hair=("short", "long", "bald", "full")[pick(rng, (0.52, 0.32, 0.09, 0.07))],
        hat=("", "cap", "brim", "helmet")[pick(rng, (0.8, 0.1, 0.05, 0.05))],
        bag=("", "backpack", "hand")[pick(rng, (0.78, 0.12, 0.1))],
        beard=happens(rng, 0.16),
        glasses=happens(rng, 0.14),
        loose=rng.uniform(0.95, 1.4),
        contrast=draw_contrast(rng),
    )


def draw_contrast(rng: Rng) -> tuple[float, float]:
    """Draw the gains at the rim and in the light; both near 1 in flat light."""
    return rng.uniform(0.5, 0.98), rng.uniform(1.0, 1.18)


def _draw_materials(rng: Rng) -> tuple[Material, ...]:
    wrinkles = rng.uniform(0.02, 0.2)
    skin = SKINS[rng.integers(0, len(SKINS))] * rng.uniform(0.85, 1.08)
    top = Material(*cloth(rng, wrinkles), rng.uniform(0.2, 0.5))
    bottom = Material(*cloth(rng, wrinkles, _bottom_kind(rng)), rng.uniform(0.2, 0.5))
    if happens(rng, 0.14):
        bottom = top
    hair = HAIRS[pick(rng, (0.4, 0.28, 0.11, 0.09, 0.07, 0.05))] * rng.uniform(0.7, 1.2)
    return (
        Material(*plain(rng, np.clip(skin, 5, 252), rng.uniform(0.01, 0.06)), 0.12),
        top,
        bottom,
        Material(*plain(rng, np.clip(hair, 5, 250), rng.uniform(0.05, 0.2)), 0.08),
        Material(colour(rng)),
        Material(*cloth(rng, 0.05), 0.2),
        Material(_gadget(rng)),
    )


def _bottom_kind(rng: Rng) -> str | None:
    return "plain" if happens(rng, 0.75) else None


def _gadget(rng: Rng) -> Floats:
    return np.full(3, rng.uniform(10, 60) if happens(rng, 0.7) else rng.uniform(150, 240))
