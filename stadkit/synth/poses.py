"""The eight poses: each fills a still motion with the angles of one way to be."""

from __future__ import annotations

from collections.abc import Callable

from stadkit.synth.chance import Floats
from stadkit.synth.motion import (
    HEAD_PITCH,
    HEAD_YAW,
    Manner,
    Motion,
)
from stadkit.synth.resting import lie, sit
from stadkit.synth.riding import ride
from stadkit.synth.upright import bend, jump, run, stand, walk

POSE_MOTION: tuple[Callable[[Motion, Floats, Manner], None], ...] = (
    stand,
    walk,
    run,
    sit,
    bend,
    jump,
    lie,
    ride,
)


def pose_motion(pose: int, t: Floats, q: Manner) -> Motion:
    """The motion of a pose (its index in POSES) at times t [T], seconds."""
    m = Motion.still(len(t))
    POSE_MOTION[pose](m, t, q)
    m.trunk[:, HEAD_YAW] += 0.35 * q.n[12] + 0.15 * q.wave(q.sway, t)
    m.trunk[:, HEAD_PITCH] += 0.08 * q.n[15]
    return m
