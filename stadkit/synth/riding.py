"""Riding: astride a bicycle, motorcycle or horse, or upright on a scooter."""

from __future__ import annotations

import numpy as np

from stadkit.synth.chance import Floats
from stadkit.synth.motion import (
    ARM,
    ARM_OUT,
    BODY_ROLL,
    FORE,
    FORE_OUT,
    HEAD_PITCH,
    HIP,
    HIP_OUT,
    JUMP,
    KNEE,
    LEFT,
    RIGHT,
    TORSO_PITCH,
    Manner,
    Motion,
)


def ride(m: Motion, t: Floats, q: Manner) -> None:
    """Astride a bicycle, motorcycle or horse, or upright on a scooter."""
    {"bicycle": _pedal, "motorcycle": _astride, "horse": _astride, "scooter": _scoot}[mount_of(q)](
        m, t, q
    )


def mount_of(q: Manner) -> str:
    """What this manner of riding rides."""
    return next(
        name
        for name, until in (
            ("bicycle", 0.5),
            ("motorcycle", 0.68),
            ("horse", 0.84),
            ("scooter", 1.1),
        )
        if q.variant < until
    )


def _reach_bar(m: Motion, arm: float, forearm: float) -> None:
    m.limbs[:, :, ARM], m.limbs[:, :, FORE] = arm, forearm
    m.limbs[:, :, ARM_OUT], m.limbs[:, :, FORE_OUT] = 0.2, 0.05


def _pedal(m: Motion, t: Floats, q: Manner) -> None:
    lean = 0.45 + 0.2 * q.n[8]
    m.trunk[:, TORSO_PITCH] = lean
    m.trunk[:, BODY_ROLL] = 0.05 * q.wave(0.5, t)
    m.trunk[:, HEAD_PITCH] = -0.3 * lean
    for side in (LEFT, RIGHT):
        turn = q.wave(0.7 + 0.6 * q.tempo, t, np.pi * side)
        lead = q.wave(0.7 + 0.6 * q.tempo, t, np.pi * side - 1.2)
        m.limbs[:, side, HIP] = 0.95 + 0.4 * turn
        m.limbs[:, side, KNEE] = 1.15 + 0.45 * lead
    m.limbs[:, :, HIP_OUT] = 0.05
    m.trunk[:, JUMP] = 0.07
    _reach_bar(m, 0.75 + 0.1 * q.n[0], 1.15 + 0.1 * q.n[2])
    m.speed[:] = 1.2 + 1.4 * q.tempo


def _astride(m: Motion, t: Floats, q: Manner) -> None:
    horse = mount_of(q) == "horse"
    trot = 0.03 * abs(q.wave(1.6, t)) if horse else 0.0
    m.trunk[:, TORSO_PITCH] = 0.08 + 0.08 * q.n[8] + (0 if horse else 0.2)
    m.trunk[:, JUMP] = (0.42 if horse else 0.11) + trot
    m.limbs[:, :, HIP] = 0.75 if horse else 1.25
    m.limbs[:, :, KNEE] = 0.85 if horse else 1.5
    m.limbs[:, :, HIP_OUT] = 0.5 if horse else 0.25
    _reach_bar(m, 0.4 if horse else 0.85, 1.3)
    m.speed[:] = 1.0 + 1.6 * q.tempo


def _scoot(m: Motion, t: Floats, q: Manner) -> None:
    m.trunk[:, TORSO_PITCH] = 0.12 + 0.06 * q.n[8]
    m.trunk[:, JUMP] = 0.05
    m.limbs[:, :, KNEE] = 0.15
    push = np.clip(q.wave(0.8, t), -0.4, 1) if q.tempo < 0.5 else np.zeros_like(t)
    m.limbs[:, q.side, HIP] = -0.1 + 0.5 * push
    _reach_bar(m, 0.55, 1.25)
    m.speed[:] = 1.0 + 0.9 * q.tempo
