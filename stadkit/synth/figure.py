"""Figures: anything made of rounded parts in space, and the canvas that they are painted on.

A part is the convex hull of balls around points: one ball, a limb (two), a trunk (more).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from stadkit.synth.chance import Floats, Pixels, paint
from stadkit.synth.texture import TILE

FLAT = 128  # the shading value that multiplies by one
MATERIALS = 16  # a figure's id is its number times this, plus the material
OWN = 8  # materials from here on are things that the figure uses: chairs, mounts
Ids = NDArray[np.uint16]


@dataclass(frozen=True)
class Part:
    """The hull of balls; `bias` > 0 paints it as if it were that much further away."""

    points: tuple[int, ...]
    radii: tuple[float, ...]  # body heights
    material: int
    bias: float = 0.0


@dataclass(frozen=True)
class Material:
    """A colour [3] and its tile [TILE, TILE, 3], or None for no cloth."""

    rgb: Floats
    tile: Pixels | None = None
    tile_size: float = 0.3  # body heights that a tile covers

    @cached_property
    def paint(self) -> tuple[float, float, float]:
        """The colour as OpenCV takes it."""
        return paint(self.rgb)

    @cached_property
    def spread(self) -> Pixels:
        """The tile [3 * TILE, 3 * TILE, 3] with its mirror images about it: warping inside a
        picture costs a third of warping beyond its border."""
        assert self.tile is not None
        border = cv2.copyMakeBorder(self.tile, TILE, TILE, TILE, TILE, cv2.BORDER_REFLECT_101)
        return np.asarray(border, np.uint8)


@dataclass
class Canvas:
    """The picture being painted and, beside it, who is where."""

    pixels: Pixels  # [H, W, 3]
    ids: Ids  # [H, W]  0: nothing, else number * MATERIALS + material
    shade: Pixels  # [H, W]  scratch


@dataclass(frozen=True)
class Figure:
    """Points in space over time, parts on them, what they are made of and how light falls."""

    world: Floats  # [T, K, 3]
    parts: tuple[Part, ...]
    materials: tuple[Material, ...]
    contrast: tuple[float, float] = (0.8, 1.08)  # gain at the rim, gain towards the light
    axis: tuple[int, int] = (0, 1)  # the points that cloth hangs between
    face: Callable[[Canvas, Floats, Floats, Floats, int], None] | None = None
    face_after: int = -1  # index of the part that is the head
    number: int = 1
    shown: NDArray[np.bool_] | None = None  # [T, N]  which parts are there; None: all, always
    round: bool = False  # light falls off in steps from core to rim, and the edge is soft
