"""Figures: objects of rounded parts in space, their outlines, and the canvas for painting them.

A part is the convex hull of balls around points: one ball, a limb (two), a trunk (more). `Model`
builds objects from points and parts; `outline` projects a figure's parts at all times at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from stadkit.synth.camera import CameraView
from stadkit.synth.draws import Floats, Pixels, cv_colour
from stadkit.synth.texture import TILE

FLAT = 128  # the shading value that multiplies by one
MATERIALS = 16  # an id is a figure's number times this, plus the material
FIRST_PROP_MATERIAL = 8  # materials from this index on belong to props in use: chairs, mounts
Ids = NDArray[np.uint16]
FINE = 4  # bits of sub-pixel precision in OpenCV's polygons
UNIT = 1 << FINE
Outline = NDArray[np.int32]  # [M, 2]  sub-pixel units
_EMPTY_OUTLINE: Outline = np.zeros((1, 2), np.int32)
_HALF = np.linspace(-np.pi / 2, np.pi / 2, 6)
_ANGLES = np.linspace(0, 2 * np.pi, 11)[:-1]
RING = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1)  # [10, 2]


@dataclass(frozen=True)
class Part:
    """A convex hull of balls; `bias` is added to its depth when sorting."""

    points: tuple[int, ...]
    radii: tuple[float, ...]  # body heights
    material: int
    bias: float = 0.0


@dataclass(frozen=True)
class Material:
    """A colour [3] and a cloth tile [TILE, TILE, 3], or None for no cloth."""

    rgb: Floats
    tile: Pixels | None = None
    tile_size: float = 0.3  # size of a tile in body heights

    @cached_property
    def cv_colour(self) -> tuple[float, float, float]:
        """The colour as an OpenCV scalar."""
        return cv_colour(self.rgb)

    @cached_property
    def spread(self) -> Pixels:
        """The tile [3 * TILE, 3 * TILE, 3] surrounded by its reflections: warping inside an image
        takes a third of the time of warping beyond its border."""
        assert self.tile is not None
        border = cv2.copyMakeBorder(self.tile, TILE, TILE, TILE, TILE, cv2.BORDER_REFLECT_101)
        return np.asarray(border, np.uint8)


@dataclass
class Canvas:
    """The image being painted, and the id of the figure at each pixel."""

    pixels: Pixels  # [H, W, 3]
    ids: Ids  # [H, W]  0: background, else number * MATERIALS + material
    shade: Pixels  # [H, W]  scratch buffer


@dataclass(frozen=True)
class Figure:
    """Points in space over time, with parts, materials and shading."""

    world: Floats  # [T, K, 3]
    parts: tuple[Part, ...]
    materials: tuple[Material, ...]
    contrast: tuple[float, float] = (0.8, 1.08)  # gain at the rim, gain towards the light
    axis: tuple[int, int] = (0, 1)  # indices of the points that orient the cloth
    face: Callable[[Canvas, Floats, Floats, Floats, int], None] | None = None
    face_after: int = -1  # index of the part that is the head
    number: int = 1
    visible: NDArray[np.bool_] | None = None  # [T, N]  which parts are visible; None: all, always
    round: bool = False  # shaded in steps from core to rim, with soft edges


@dataclass
class Model:
    """An object of balls and limbs in its own frame: x to its right, y up, z ahead."""

    points: list[Floats] = field(default_factory=list)  # each [3], or [T, 3] if moving
    parts: list[Part] = field(default_factory=list)

    def point(self, x: float | Floats, y: float | Floats, z: float | Floats) -> int:
        """Add a point (numbers, or arrays [T]); returns its index."""
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
        """Add a box between two corners, with slightly rounded edges."""
        (x1, y1, z1), (x2, y2, z2) = low, high
        corners = tuple(self.point(x, y, z) for x in (x1, x2) for y in (y1, y2) for z in (z1, z2))
        self.hull(corners, 0.008, material, bias)

    def wheel(self, z: float, radius: float, thick: float, material: int, spokes: bool) -> None:
        """Add an upright wheel on the ground at z: a ring if spoked, else a disc."""
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
    """Outlines of all parts at all times, in sub-pixel units."""

    view: CameraView
    order: NDArray[np.int64]  # [T, N]  far to near
    rim: list[list[Outline]]  # [T][N]  outline [M, 2]
    core: list[list[Outline]]  # [T][N]  outline of the lit area
    extent: Floats  # [T, 4]  x1 y1 x2 y2 around all visible parts, pixels


def fine(points: Floats) -> NDArray[np.int32]:
    """Pixel coordinates in fixed point for OpenCV's polygons with `shift=FINE`."""
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


def outline(figure: Figure, view: CameraView, light: Floats) -> Shapes:
    """Outlines of a figure in a view, lit from `light` [2] (a direction in the image)."""
    times, count = len(view.uv), len(figure.parts)
    rims: list[list[Outline]] = [[_EMPTY_OUTLINE] * count for _ in range(times)]
    cores: list[list[Outline]] = [[_EMPTY_OUTLINE] * count for _ in range(times)]
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


def _extent(figure: Figure, view: CameraView) -> Floats:
    points = np.array([p for part in figure.parts for p in part.points])
    radii = np.array([r for part in figure.parts for r in part.radii])
    reach = np.maximum(view.scale[:, points] * radii, 0.6)[..., None]
    uv = view.uv[:, points]
    visible = np.ones(reach.shape, np.bool_)
    if figure.visible is not None:
        sizes = [len(part.points) for part in figure.parts]
        visible = np.repeat(figure.visible, sizes, axis=1)[..., None]
    low = np.where(visible, uv - reach, np.inf).min(1)
    high = np.where(visible, uv + reach, -np.inf).max(1)
    if figure.face is not None:  # hats extend beyond heads
        hat = 0.1 * view.scale[:, :1]
        low, high = low - hat, high + hat
    return np.concatenate([low, high], 1)


def _outline_limbs(
    figure: Figure,
    limbs: list[int],
    view: CameraView,
    light: Floats,
    rims: list[list[Outline]],
    cores: list[list[Outline]],
) -> None:
    """Outline all limbs at once: most of a body."""
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
    view: CameraView,
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
