"""Outlines: what the parts of a figure look like from the camera, at every time at once."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stadkit.synth.camera import View
from stadkit.synth.chance import Floats
from stadkit.synth.figure import Figure, Part

FINE = 4  # bits of sub-pixel precision in OpenCV's polygons
UNIT = 1 << FINE
Outline = NDArray[np.int32]  # [M, 2]  sub-pixel units
_NOTHING: Outline = np.zeros((1, 2), np.int32)
_HALF = np.linspace(-np.pi / 2, np.pi / 2, 6)
_ANGLES = np.linspace(0, 2 * np.pi, 11)[:-1]
RING = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1)  # [10, 2]


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
