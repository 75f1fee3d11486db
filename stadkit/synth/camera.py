"""The camera: perspective from a raised, tilted position, with shake, pan, zoom and roll."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stadkit.synth.draws import Floats, Rng, happens

MIN_DEPTH = 0.15  # body heights: closer points are clamped to this depth


@dataclass(frozen=True)
class CameraView:
    """Projected points."""

    uv: Floats  # [T, K, 2]  pixels
    scale: Floats  # [T, K]  pixels per body height
    depth: Floats  # [T, K]  body heights


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at (0, height, 0) facing +z, `pitch` radians downwards."""

    focal: float  # pixels
    width: int
    image_height: int
    height: float  # body heights above the ground
    pitch: float
    sway: Floats  # [T, 2, 3]  affine image motion by shake, pan, zoom and roll

    def plane(self, origin: Floats, across: Floats, along: Floats) -> Floats:
        """The homography [3, 3] from plane coordinates (a, b) to the image without sway.

        The plane's point is origin + a * across + b * along, each [3] in the world.
        """
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        rows = np.array([[1, 0, 0], [0, -cos, -sin], [0, -sin, cos]])  # right, down, ahead
        centre = np.array([0, self.height, 0])
        inside = rows @ np.stack([across, along, origin - centre], 1)
        lens = np.array(
            [[self.focal, 0, self.width / 2], [0, self.focal, self.image_height / 2], [0, 0, 1]]
        )
        return np.asarray(lens @ inside)

    def see(self, world: Floats) -> CameraView:
        """Project world points [T, K, 3] to the image with sway at each time."""
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        y = world[..., 1] - self.height
        depth = np.maximum(cos * world[..., 2] - sin * y, MIN_DEPTH)
        u = self.width / 2 + self.focal * world[..., 0] / depth
        v = self.image_height / 2 - self.focal * (cos * y + sin * world[..., 2]) / depth
        flat = np.stack([u, v], -1)
        uv = np.einsum("tij,tkj->tki", self.sway[:, :, :2], flat) + self.sway[:, None, :, 2]
        zoom = np.hypot(self.sway[:, 0, 0], self.sway[:, 0, 1])
        return CameraView(uv, self.focal * zoom[:, None] / depth, depth)

    def at_depth(self, depth: float, u: float, body: float = 0.5) -> tuple[float, float]:
        """Ground position (x, z) of a body whose centre has this depth, seen in column u."""
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        z = (depth - sin * (self.height - body)) / cos
        return depth * (u - self.width / 2) / self.focal, z

    @property
    def horizon(self) -> float:
        """The row of the horizon in the image without sway."""
        return float(self.image_height / 2 - self.focal * np.tan(self.pitch))


def draw_pitch(rng: Rng, upper: bool) -> float:
    """Draw a pitch in radians downwards: mostly level, a sixth of full bodies from high above."""
    if upper:
        return rng.normal(0.05, 0.09)
    if happens(rng, 0.17):
        return rng.uniform(0.4, 0.95)
    return rng.uniform(-0.06, 0.3)


def draw_sway(rng: Rng, t: Floats, width: int, height: int, steady: bool) -> Floats:
    """Draw affine maps [T, 2, 3] of the image at times t [T]; the key time is 0.

    `steady` cameras (long videos) neither pan nor roll.
    """
    roll = 0.0
    if not steady and happens(rng, 0.22):
        roll = float(np.radians(rng.uniform(-25, 25)))
    spin = rng.normal(0, 0.12) if not steady and happens(rng, 0.08) else 0.0
    grow = rng.normal(0, 0.05) if happens(rng, 0.25) else 0.0
    pan = rng.normal(0, 0.05, 2) * width if not steady and happens(rng, 0.25) else np.zeros(2)
    zoom = 1 + np.clip(grow * (0.2 * np.sin(t) if steady else t), -0.3, 0.3)
    angle = roll + spin * t
    a, b = zoom * np.cos(angle), zoom * np.sin(angle)
    turn = np.stack([np.stack([a, -b], -1), np.stack([b, a], -1)], 1)  # [T, 2, 2]
    centre = np.array([width / 2, height / 2])
    shift = centre - turn @ centre + _shake(rng, t, width) + pan * t[:, None]
    return np.concatenate([turn, shift[..., None]], 2)


def _shake(rng: Rng, t: Floats, width: int) -> Floats:
    size = 0.0 if happens(rng, 0.4) else rng.uniform(0.001, 0.016) * width
    phase = rng.uniform(0, 2 * np.pi, 4)
    slow, fast = 2 * np.pi * np.array([1.7, 1.3]), 2 * np.pi * np.array([4.1, 3.7])
    both = np.sin(slow * t[:, None] + phase[:2]) + 0.6 * np.sin(fast * t[:, None] + phase[2:])
    return np.asarray(size * both)
