"""Building figures of things: points and parts collected one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stadkit.synth.chance import Floats
from stadkit.synth.figure import Part


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
