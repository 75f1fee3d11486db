"""Paths on the ground: straight for clips, wandering within bounds for long videos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stadkit.synth.draws import Floats, Rng, happens


@dataclass(frozen=True)
class Path:
    """A person's ground position and heading over time."""

    x: Floats  # [T]  body heights
    z: Floats  # [T]
    yaw: Floats  # [T]  radians, 0: away from the camera, pi: towards it


@dataclass(frozen=True)
class Bounds:
    """Ground bounds of people in long videos; wider than the frame, so that they leave it."""

    left: float
    right: float
    near: float
    far: float


def draw_heading(rng: Rng) -> float:
    """Draw a yaw; two in five face the camera, one in eight faces away."""
    if happens(rng, 0.4):
        return np.pi + rng.normal(0, 0.5)
    if happens(rng, 0.2):
        return rng.normal(0, 0.5)
    return rng.uniform(0, 2 * np.pi)


def straight(rng: Rng, t: Floats, speed: Floats, x: float, z: float, heading: float) -> Path:
    """A slightly curved path through (x, z) at t = 0; speed [T] at times t [T]."""
    yaw = heading + rng.normal(0, 0.15) * t
    step = np.diff(t, prepend=t[0])
    dx, dz = np.cumsum(speed * np.sin(yaw) * step), np.cumsum(speed * np.cos(yaw) * step)
    now = int(np.argmin(abs(t)))
    return Path(x + dx - dx[now], np.maximum(z + dz - dz[now], 0.55 * z), yaw)


def wander(rng: Rng, t: Floats, speed: Floats, start: tuple[float, float], bounds: Bounds) -> Path:
    """A path from `start` that turns back at the bounds; speed [T] at times t [T]."""
    x, z = start
    yaw = goal = draw_heading(rng)
    turn = rng.normal(0, 0.15)
    path = np.empty((3, len(t)))
    step = np.diff(t, prepend=t[0])
    for i, (dt, v) in enumerate(zip(step, speed, strict=True)):
        goal += turn * dt
        if v > 0.05:
            goal = _turned_back(goal, x, z, bounds)
        ahead = (goal - yaw + np.pi) % (2 * np.pi) - np.pi
        yaw += np.clip(ahead, -4 * dt, 4 * dt)
        x, z = x + v * np.sin(yaw) * dt, z + v * np.cos(yaw) * dt
        path[:, i] = x, z, yaw
    return Path(*path)


def _turned_back(goal: float, x: float, z: float, bounds: Bounds) -> float:
    outside = (x < bounds.left and np.sin(goal) < 0) or (x > bounds.right and np.sin(goal) > 0)
    if outside:
        goal = -goal
    beyond = (z < bounds.near and np.cos(goal) < 0) or (z > bounds.far and np.cos(goal) > 0)
    return np.pi - goal if beyond else goal
