"""Where people will be: a constant-velocity Kalman filter on boxes, all tracks at once.

Each of the four coordinates (centre x and y, width, height) has a place and a speed. Noise is
in the box's longer side, so that one covariance a track, in sides, holds for its coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PLACE_NOISE = 0.05**2  # of a detection's coordinate, sides^2
SPEED = 0.6**2  # of a new track, (sides / s)^2
PUSH = 0.8  # how fast speeds wander, sides^2 / s^3


@dataclass
class Motion:
    """The filters of a tracks; `place` and `speed` change with `predict` and `correct`."""

    place: Floats  # [a, 4]  centre x y, width, height
    speed: Floats  # [a, 4]  a second
    cov: Floats  # [a, 3]  variance of place, covariance, variance of speed, in sides

    @classmethod
    def start(cls, box: Floats) -> Motion:
        """Tracks that begin at boxes [a, 4] x1 y1 x2 y2."""
        cov = np.tile([PLACE_NOISE, 0.0, SPEED], (len(box), 1))
        return cls(to_centre(box), np.zeros_like(box), cov)

    def predict(self, seconds: Floats) -> tuple[Floats, Floats]:
        """Boxes [a, 4] after `seconds` [a], and how uncertain they are [a], in sides."""
        p00, p01, p11 = self.cov.T
        t = seconds
        spread = p00 + 2 * t * p01 + t * t * p11 + PUSH * t**3 / 3
        return to_corners(self.place + self.speed * t[:, None]), np.sqrt(spread)

    def correct(self, rows: NDArray[np.intp], seconds: Floats, box: Floats) -> None:
        """Tracks `rows` were seen at boxes [k, 4] after `seconds` [k]."""
        p00, p01, p11 = self.cov[rows].T
        t = seconds
        p00 = p00 + 2 * t * p01 + t * t * p11 + PUSH * t**3 / 3
        p01 = p01 + t * p11 + PUSH * t**2 / 2
        p11 = p11 + PUSH * t
        total = p00 + PLACE_NOISE
        gain, push = p00 / total, p01 / total
        ahead = self.place[rows] + self.speed[rows] * t[:, None]
        off = to_centre(box) - ahead
        self.place[rows] = ahead + gain[:, None] * off
        self.speed[rows] += push[:, None] * off
        self.cov[rows] = np.stack([(1 - gain) * p00, (1 - gain) * p01, p11 - push * p01], 1)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Motion:
        """Some of the tracks."""
        return Motion(self.place[rows], self.speed[rows], self.cov[rows])

    def join(self, other: Motion) -> Motion:
        """These tracks, then the other's."""
        return Motion(
            np.concatenate([self.place, other.place]),
            np.concatenate([self.speed, other.speed]),
            np.concatenate([self.cov, other.cov]),
        )


def to_centre(box: Floats) -> Floats:
    """x1 y1 x2 y2 [n, 4] -> centre x y, width, height."""
    return np.concatenate([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], 1)


def to_corners(place: Floats) -> Floats:
    """Centre x y, width, height [n, 4] -> x1 y1 x2 y2; sides below 0 are 0."""
    half = np.maximum(place[:, 2:], 0) / 2
    return np.concatenate([place[:, :2] - half, place[:, :2] + half], 1)
