"""What one person does over time: stretches of a pose and a gesture, blended at their seams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.synth.chance import Floats, Rng, happens, pick
from stadkit.synth.classes import CLASSES, GESTURES, POSES
from stadkit.synth.gestures import add_gesture
from stadkit.synth.motion import Manner, Motion
from stadkit.synth.poses import pose_motion
from stadkit.synth.upright import turns_over

STRETCH = (1.2, 4.0)  # seconds that one action lasts
SEAM = 0.3  # seconds of blending

# Weights of the poses for a whole body in view, and for an upper body.
POSE_WEIGHTS = (0.24, 0.15, 0.12, 0.14, 0.11, 0.09, 0.08, 0.09)
UPPER_WEIGHTS = (0.45, 0.15, 0.07, 0.22, 0.05, 0.03, 0.02, 0.02)
# How likely a pose carries a gesture, and which (wave, clap, punch, kick, raise arms, phone).
GESTURE_CHANCE = (0.8, 0.45, 0.12, 0.5, 0.0, 0.4, 0.35, 0.35)
GESTURE_WEIGHTS = (
    (0.8, 0.8, 1.5, 2.3, 0.8, 0.7),
    (1.0, 0.8, 0.4, 0.0, 0.7, 1.2),
    (0.4, 0.0, 0.0, 0.0, 1.0, 0.3),
    (1.0, 1.3, 0.4, 0.0, 0.7, 1.3),
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.3, 0.5, 0.8, 1.0, 0.0),
    (0.2, 0.0, 0.0, 0.0, 0.0, 1.0),
    (1.0, 0.0, 0.0, 0.0, 0.0, 0.7),
)
KICK = GESTURES.index("kick")


@dataclass(frozen=True)
class Stretch:
    """One action: from `start` on, until the next stretch."""

    start: float  # seconds
    pose: int  # index in POSES
    gesture: int  # index in GESTURES, -1: none
    manner: Manner


@dataclass(frozen=True)
class Timeline:
    """A person's motion and true actions at given times."""

    motion: Motion
    action: NDArray[np.bool_]  # [T, C]
    stretch: NDArray[np.int32]  # [T]  index into stretches
    stretches: tuple[Stretch, ...]


def draw_stretches(rng: Rng, start: float, end: float, upper: bool = False) -> list[Stretch]:
    """Stretches that cover start..end; the first has begun before."""
    out, at = [], start - rng.uniform(0, STRETCH[1])
    while at < end:
        until = at + rng.uniform(*STRETCH)
        drawn = _draw_stretch(rng, at, upper)
        if until > start:
            out.append(drawn)
        at = until
    return out


def _draw_stretch(rng: Rng, start: float, upper: bool) -> Stretch:
    pose = pick(rng, UPPER_WEIGHTS if upper else POSE_WEIGHTS)
    gesture = -1
    if happens(rng, GESTURE_CHANCE[pose]):
        gesture = pick(rng, GESTURE_WEIGHTS[pose])
    if upper and gesture == KICK:  # nobody could see it
        gesture = -1
    manner = Manner.draw(rng)
    if POSES[pose] == "jump" and turns_over(manner):
        gesture = -1  # the hands are busy
    return Stretch(start, pose, gesture, manner)


def play(stretches: list[Stretch], t: Floats) -> Timeline:
    """The motion and labels of these stretches at times t [T], seconds, ascending."""
    motion, current = _play_one(stretches[0], t), np.zeros(len(t), np.int32)
    for i, stretch in enumerate(stretches[1:], 1):
        ramp = np.clip((t - stretch.start) / SEAM + 0.5, 0, 1)
        if ramp.any():
            motion = motion.blend(_play_one(stretch, t), ramp * ramp * (3 - 2 * ramp))
        current[t >= stretch.start] = i
    action = np.zeros((len(t), len(CLASSES)), np.bool_)
    for i, stretch in enumerate(stretches):
        action[current == i, stretch.pose] = True
        if stretch.gesture >= 0:
            action[current == i, len(POSES) + stretch.gesture] = True
    return Timeline(motion, action, current, tuple(stretches))


def _play_one(stretch: Stretch, t: Floats) -> Motion:
    motion = pose_motion(stretch.pose, t, stretch.manner)
    if stretch.gesture >= 0:
        add_gesture(motion, stretch.gesture, t, stretch.manner)
    return motion
