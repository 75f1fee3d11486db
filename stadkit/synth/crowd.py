"""Videos full of people without pictures: to measure how fast linking is."""

from __future__ import annotations

import numpy as np

from stadkit.detections import Detections

RATE = 25.0  # frames a second
SIZE = (240, 320)  # height, width in pixels


def crowd(videos: int, frames: int, people: int, classes: int, seed: int) -> Detections:
    """True people at every frame; the same for the same seed. Rows by video, frame and person.

    Each drifts once through the picture, and does one class after the other, a second and more
    of each.
    """
    rng = np.random.default_rng(seed)
    size = rng.uniform((0.08, 0.2), (0.2, 0.5), (videos, 1, people, 2))
    start, end = (rng.random((videos, 1, people, 2)) * (1 - size) for _ in range(2))
    along = np.linspace(0, 1, frames)[:, None, None]
    corner = start + (end - start) * along
    first = rng.integers(0, classes, (videos, 1, people))
    lasts = rng.integers(25, 75, (videos, 1, people))
    doing = (first + np.arange(frames)[:, None] // lasts) % classes
    n = videos * frames * people
    return Detections(
        video=np.repeat([f"crowd-{v:04d}" for v in range(videos)], frames * people),
        time=np.tile(np.repeat(np.arange(frames) / RATE, people), videos),
        box=np.concatenate([corner, corner + size], 3).reshape(n, 4).astype(np.float32),
        person=np.ones(n, np.float32),
        action=np.eye(classes, dtype=np.float32)[doing.ravel()],
        track=np.tile(np.arange(people, dtype=np.int32), videos * frames),
        classes=tuple(f"class {c}" for c in range(classes)),
    )
