"""Poses off the feet: sitting, crouching and kneeling; lying."""

from __future__ import annotations

import numpy as np

from stadkit.synth.chance import Floats
from stadkit.synth.idle import idle_arms
from stadkit.synth.motion import (
    ARM,
    ARM_OUT,
    BODY_PITCH,
    BODY_ROLL,
    FORE,
    FORE_OUT,
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


def sit(m: Motion, t: Floats, q: Manner) -> None:
    """On a seat, on the ground, crouching or kneeling."""
    idle_arms(m, t, q, (0, 4, 5, 2)[q.idle % 4])
    m.trunk[:, TORSO_PITCH] = 0.08 + 0.15 * q.n[8] + 0.04 * q.wave(q.sway, t)
    m.limbs[:, :, HIP_OUT] = 0.1 + 0.12 * abs(q.n[1])
    if on_seat(q):
        _sit_on_seat(m, q)
    elif q.variant < 0.76:
        _sit_on_ground(m, q)
    elif q.variant < 0.88:
        _crouch(m, q)
    else:
        _kneel(m, q)


def on_seat(q: Manner) -> bool:
    """Whether this manner of sitting takes a chair."""
    return q.variant < 0.6


def _sit_on_seat(m: Motion, q: Manner) -> None:
    hip = 1.45 + 0.12 * q.n[9]
    m.limbs[:, LEFT, HIP], m.limbs[:, RIGHT, HIP] = hip, hip + 0.1 * q.n[10]
    m.limbs[:, LEFT, KNEE] = hip + 0.12 * q.n[11]
    m.limbs[:, RIGHT, KNEE] = hip + 0.18 * q.n[10]
    m.limbs[:, :, ARM] = 0.4 + 0.15 * q.n[0]
    m.limbs[:, :, FORE] = np.maximum(m.limbs[:, :, FORE], 1.0)


def _sit_on_ground(m: Motion, q: Manner) -> None:
    crossed = q.variant < 0.68
    m.limbs[:, :, HIP] = 1.35 if crossed else 1.5 + 0.45 * abs(q.n[9])
    m.limbs[:, :, KNEE] = 2.1 if crossed else 0.1 + 1.1 * abs(q.n[9])
    m.limbs[:, :, HIP_OUT] = 0.85 if crossed else 0.12 + 0.1 * abs(q.n[1])
    m.limbs[:, :, ARM] = 0.5 if q.n[5] < 0.5 else -0.5
    m.limbs[:, :, FORE] = 1.0 if q.n[5] < 0.5 else -0.35


def _crouch(m: Motion, q: Manner) -> None:
    m.limbs[:, LEFT, HIP], m.limbs[:, RIGHT, HIP] = 2.0, 1.75 + 0.3 * q.n[10]
    m.limbs[:, LEFT, KNEE], m.limbs[:, RIGHT, KNEE] = 2.35, 2.3
    m.trunk[:, TORSO_PITCH] = 0.45 + 0.2 * q.n[8]
    m.limbs[:, :, ARM], m.limbs[:, :, FORE] = 0.7, 1.1


def _kneel(m: Motion, q: Manner) -> None:
    both = q.n[9] < 0.3
    back = q.side
    m.limbs[:, :, HIP] = 0.1 + 0.5 * abs(q.n[10])
    m.limbs[:, :, KNEE] = 1.75 + 0.5 * abs(q.n[10])
    if not both:
        m.limbs[:, 1 - back, HIP], m.limbs[:, 1 - back, KNEE] = 1.5, 1.55
        m.limbs[:, back, HIP], m.limbs[:, back, KNEE] = 0.0, 1.6
    m.trunk[:, TORSO_PITCH] = 0.15 + 0.2 * abs(q.n[8])


def lie(m: Motion, t: Floats, q: Manner) -> None:
    """On the back, the belly or a side; on the ground or on something flat."""
    idle_arms(m, t, q, (0, 4, 3, 0)[q.idle % 4])
    m.limbs[:, :, HIP_OUT] = 0.08 + 0.12 * abs(q.n[1])
    m.trunk[:, TORSO_PITCH] = 0.05 * q.wave(q.sway, t)
    m.trunk[:, JUMP] = bed_height(q)
    bent = q.n[9] > 0.2
    if q.variant < 0.55:
        m.trunk[:, BODY_PITCH] = -np.pi / 2 + 0.25 * max(q.n[12], 0)
        m.limbs[:, :, HIP] = 0.9 + 0.15 * q.n[10] if bent else 0.05
        m.limbs[:, q.side, HIP] -= 0.3 * abs(q.n[11]) if bent else 0.0
        m.limbs[:, :, KNEE] = 1.7 if bent else 0.08
        if q.n[3] > 0.7:
            m.limbs[:, :, ARM], m.limbs[:, :, ARM_OUT] = 2.7, 0.6
            m.limbs[:, :, FORE], m.limbs[:, :, FORE_OUT] = 3.0, -0.9
    elif q.variant < 0.75:
        m.trunk[:, BODY_PITCH] = np.pi / 2 - 0.15 * max(q.n[12], 0)
        m.limbs[:, :, KNEE] = 0.9 if bent else 0.1
        m.limbs[:, :, ARM], m.limbs[:, :, FORE] = 2.6, 2.9
        m.limbs[:, :, ARM_OUT], m.limbs[:, :, FORE_OUT] = 0.5, -0.8
    else:
        m.trunk[:, BODY_ROLL] = (1 if q.side else -1) * (np.pi / 2 - 0.1)
        m.limbs[:, :, HIP] = 0.9 if bent else 0.2
        m.limbs[:, :, KNEE] = 1.4 if bent else 0.3
        m.limbs[:, :, ARM], m.limbs[:, :, FORE] = 0.9, 1.7


def bed_height(q: Manner) -> float:
    """Body heights of what this manner of lying lies on; mostly 0, the ground."""
    return 0.2 * float(max(q.n[13] - 0.2, 0.0))
