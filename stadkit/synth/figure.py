"""Figures: anything made of rounded parts in space, and the canvas that they are painted on.

A part is the convex hull of balls around points: one ball, a limb (two), a trunk (more).

Building figures of things: points and parts collected one after the other.

Outlines: what the parts of a figure look like from the camera, at every time at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from stadkit.synth.camera import View
from stadkit.synth.draws import Floats, Pixels, paint
from stadkit.synth.texture import TILE

FLAT = 128  # the shading value that multiplies by one
MATERIALS = 16  # a figure's id is its number times this, plus the material
OWN = 8  # materials from here on are things that the figure uses: chairs, mounts
Ids = NDArray[np.uint16]
FINE = 4  # bits of sub-pixel precision in OpenCV's polygons
UNIT = 1 << FINE
Outline = NDArray[np.int32]  # [M, 2]  sub-pixel units
_NOTHING: Outline = np.zeros((1, 2), np.int32)
_HALF = np.linspace(-np.pi / 2, np.pi / 2, 6)
_ANGLES = np.linspace(0, 2 * np.pi, 11)[:-1]
RING = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1)  # [10, 2]


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


@dataclass
class Model:
    """A thing of balls and limbs in its own frame: x to its right, y up, z ahead."""

    points: list[Floats] = field(default_factory=list)  # each [3], or [T, 3] where it moves
    parts: list[Part] = field(default_factory=list)

    def point(self, x: float | Floats, y: float | Floats, z: float | Floats) -> int:
        """Add a point (numbers, or arrays [T]); gives its index."""
        self.points.append(np.stack(np.broadcast_arrays(x, y, z), -1).astype(np.float64))
        return len(self.points) - 1

    def hull(self, points: tuple[int, ...], radius: float, material: int, bias: float = 0) -> None:
        """Add the hull of balls of one radius around these points."""
        self.parts.append(Part(points, (radius,) * len(points), material, bias))

    def limb(self, a: int, b: int, ra: float, rb: float, material: int) -> None:
        """Add a tapered limb."""
        self.parts.append(Part((a, b), (ra, rb), material))

    def box(self, low: tuple[float, float, float], high: tuple[float, float, float],
            material: int, bias: float = 0) -> None:  # fmt: skip
        """Add a box between two corners, its edges a little round."""
        (x1, y1, z1), (x2, y2, z2) = low, high
        corners = tuple(self.point(x, y, z) for x in (x1, x2) for y in (y1, y2) for z in (z1, z2))
        self.hull(corners, 0.008, material, bias)

    def wheel(self, z: float, radius: float, thick: float, material: int, spokes: bool) -> None:
        """Add an upright wheel on the ground at z: a ring, or a disc."""
        angles = np.linspace(0, 2 * np.pi, 11)[:-1]
        ring = [self.point(0, radius + radius * np.sin(a), z + radius * np.cos(a)) for a in angles]
        if not spokes:
            self.hull(tuple(ring), thick, material)
            return
        for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
            self.limb(a, b, thick, thick, material)

    def moved(self, times: int) -> Floats:
        """The points [T, K, 3] over time."""
        return np.stack([np.broadcast_to(point, (times, 3)) for point in self.points], 1)


@dataclass(frozen=True)
class Shapes:
    """Every part's outline at every time, in sub-pixel units."""

    view: View
    order: NDArray[np.int64]  # [T, N]  far to near
    rim: list[list[Outline]]  # [T][N]  outline [M, 2]
    core: list[list[Outline]]  # [T][N]  the part of it that is in the light
    extent: Floats  # [T, 4]  x1 y1 x2 y2 about all parts that are there, pixels


def fine(points: Floats) -> NDArray[np.int32]:
    """Pixel coordinates as OpenCV's polygons take them with `shift=FINE`."""
    return np.rint(np.clip(points, -4000, 4000) * UNIT).astype(np.int32)


def limb_outlines(a: Floats, ra: Floats, b: Floats, rb: Floats) -> Floats:
    """Outlines [..., 12, 2] of tapered limbs between points [..., 2] with radii [...]."""
    angle = np.arctan2(b[..., 1] - a[..., 1], b[..., 0] - a[..., 0])[..., None] + _HALF
    out = np.empty((*a.shape[:-1], 2 * len(_HALF), 2))
    half = len(_HALF)
    for i, turn in enumerate((np.cos(angle), np.sin(angle))):
        out[..., :half, i] = b[..., i, None] + rb[..., None] * turn
        out[..., half:, i] = a[..., i, None] - ra[..., None] * turn
    return out


def outline(figure: Figure, view: View, light: Floats) -> Shapes:
    """The shapes of a figure seen so, lit from `light` [2] (a direction in the picture)."""
    times, count = len(view.uv), len(figure.parts)
    rims: list[list[Outline]] = [[_NOTHING] * count for _ in range(times)]
    cores: list[list[Outline]] = [[_NOTHING] * count for _ in range(times)]
    depth = np.empty((times, count))
    for n, part in enumerate(figure.parts):
        depth[:, n] = view.depth[:, list(part.points)].mean(1) + part.bias
        if len(part.points) != 2:
            _outline_hull(part, n, view, light, rims, cores)
    limbs = [n for n, part in enumerate(figure.parts) if len(part.points) == 2]
    if limbs:
        _outline_limbs(figure, limbs, view, light, rims, cores)
    order = np.argsort(-depth, 1, kind="stable")
    return Shapes(view, order, rims, cores, _extent(figure, view))


def _extent(figure: Figure, view: View) -> Floats:
    points = np.array([p for part in figure.parts for p in part.points])
    radii = np.array([r for part in figure.parts for r in part.radii])
    reach = np.maximum(view.scale[:, points] * radii, 0.6)[..., None]
    uv = view.uv[:, points]
    there = np.ones(reach.shape, np.bool_)
    if figure.shown is not None:
        sizes = [len(part.points) for part in figure.parts]
        there = np.repeat(figure.shown, sizes, axis=1)[..., None]
    low = np.where(there, uv - reach, np.inf).min(1)
    high = np.where(there, uv + reach, -np.inf).max(1)
    if figure.face is not None:  # hats reach further than heads
        hat = 0.1 * view.scale[:, :1]
        low, high = low - hat, high + hat
    return np.concatenate([low, high], 1)


def _outline_limbs(
    figure: Figure,
    limbs: list[int],
    view: View,
    light: Floats,
    rims: list[list[Outline]],
    cores: list[list[Outline]],
) -> None:
    """Outline all two-ended parts at once: most of a body."""
    ends = np.array([figure.parts[n].points for n in limbs]).T  # [2, N]
    radii = np.array([figure.parts[n].radii for n in limbs]).T[:, None]  # [2, 1, N]
    uv = np.stack([view.uv[:, end] for end in ends])  # [2, T, N, 2]
    radius = np.maximum(np.stack([view.scale[:, end] for end in ends]) * radii, 0.6)
    lit = uv + light * radius[..., None] * 0.3
    rim = fine(limb_outlines(uv[0], radius[0], uv[1], radius[1]))
    core = fine(limb_outlines(lit[0], 0.55 * radius[0], lit[1], 0.55 * radius[1]))
    for t in range(len(view.uv)):
        for i, n in enumerate(limbs):
            rims[t][n], cores[t][n] = rim[t, i], core[t, i]


def _outline_hull(
    part: Part,
    n: int,
    view: View,
    light: Floats,
    rims: list[list[Outline]],
    cores: list[list[Outline]],
) -> None:
    points = list(part.points)
    uv = view.uv[:, points]  # [T, k, 2]
    radius = np.maximum(view.scale[:, points] * np.array(part.radii), 0.6)
    balls = (uv[:, :, None] + radius[..., None, None] * RING).astype(np.float32)
    middle = uv.mean(1)
    shift = middle + light * radius.mean(1)[:, None] * 0.3
    for t in range(len(uv)):
        hull = cv2.convexHull(balls[t].reshape(-1, 2))[:, 0]
        rims[t][n] = fine(hull)
        cores[t][n] = fine((hull - middle[t]) * 0.66 + shift[t])
