"""The six gestures, each overwriting the limbs it needs in a pose's motion, and idle arms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stadkit.synth.draws import Floats
from stadkit.synth.skeleton import (
    ARM,
    ARM_OUT,
    FORE,
    FORE_OUT,
    HEAD_PITCH,
    HIP,
    KNEE,
    LEFT,
    RIGHT,
    TORSO_PITCH,
    TORSO_TWIST,
    Manner,
    Motion,
)

# arm, arm out, forearm, forearm out: hanging, on the hips, folded, loose, in front of the belly,
# low in front of the belly, behind the back
IDLE_ARMS = (
    (0.05, 0.12, 0.2, 0.06),
    (-0.35, 0.75, 0.3, -0.75),
    (0.45, 0.1, 1.35, -1.05),
    (-0.1, 0.25, 0.4, -0.1),
    (0.3, 0.15, 1.5, -0.25),
    (0.3, 0.2, 1.2, -0.1),
    (-0.3, 0.2, -0.55, -0.5),
)
MOVING_IDLE = (4, 5)  # gesticulating hands


def idle_arms(m: Motion, t: Floats, q: Manner, style: int) -> None:
    """Set the arms to an idle style."""
    for side in (LEFT, RIGHT):
        habit = q.n[side : side + 8 : 2] * (0.15, 0.08, 0.2, 0.15)
        m.limbs[:, side, ARM : FORE_OUT + 1] = np.array(IDLE_ARMS[style]) + habit
        if style in MOVING_IDLE:
            m.limbs[:, side, FORE] += 0.35 * q.amplitude * q.wave(0.5 + 0.5 * q.sway, t, 2 * side)
            m.limbs[:, side, FORE_OUT] += 0.25 * np.sin(2 * np.pi * 0.6 * t + side)


def wave(m: Motion, t: Floats, q: Manner) -> None:
    """Raise one forearm and swing it from side to side."""
    arm = m.limbs[:, q.side]
    arm[:, ARM] = 0.2 + 0.2 * q.n[0]
    arm[:, ARM_OUT] = 1.5 + 0.45 * q.n[1]
    arm[:, FORE] = np.pi - 0.2 * abs(q.n[2])
    arm[:, FORE_OUT] = 0.1 + (0.4 + 0.15 * q.amplitude) * q.wave(1.3 + 0.8 * q.tempo, t)


def clap(m: Motion, t: Floats, q: Manner) -> None:
    """Clap both hands in front of the chest or overhead."""
    beat = q.wave(2 + 1.2 * q.tempo, t)[:, None]
    high = q.n[3] > 1.2
    m.limbs[:, :, ARM] = 2.2 if high else 0.55 + 0.2 * q.n[0]
    m.limbs[:, :, ARM_OUT] = 0.05 - 0.1 * beat
    m.limbs[:, :, FORE] = 2.8 if high else 1.5 + 0.25 * q.n[1]
    m.limbs[:, :, FORE_OUT] = -0.28 - 0.36 * beat


def punch(m: Motion, t: Floats, q: Manner) -> None:
    """Punch alternately from the chin, with the torso twisting."""
    beat = q.wave(1.0 + 0.6 * q.tempo, t)
    for side, sign in ((LEFT, 1), (RIGHT, -1)):
        out = np.clip(sign * beat, 0, 1) ** 2
        m.limbs[:, side, ARM] = 0.45 + 1.1 * out + 0.1 * q.n[0]
        m.limbs[:, side, ARM_OUT] = 0.15
        m.limbs[:, side, FORE] = 2.35 - 0.8 * out
        m.limbs[:, side, FORE_OUT] = -0.3 + 0.25 * out
    m.trunk[:, TORSO_TWIST] = 0.5 * beat
    m.trunk[:, TORSO_PITCH] += 0.09
    standing = m.limbs[:, :, HIP].max() < 0.8
    if standing:
        m.limbs[:, LEFT, HIP], m.limbs[:, RIGHT, HIP] = 0.3, -0.25
        m.limbs[:, LEFT, KNEE], m.limbs[:, RIGHT, KNEE] = 0.25, 0.3


def kick(m: Motion, t: Floats, q: Manner) -> None:
    """Kick to hip height or higher, fists up."""
    rate = 0.7 + 0.35 * q.tempo
    out = np.clip(q.wave(rate, t), 0, 1) ** 1.5
    wind = np.clip(q.wave(rate, t, 1.1), 0, 1)
    m.limbs[:, q.side, HIP] = -0.25 + (1.5 + 0.3 * q.n[1]) * out
    m.limbs[:, q.side, KNEE] = 0.2 + 1.2 * wind * (1 - out)
    m.trunk[:, TORSO_PITCH] = 0.05 - 0.2 * out
    guard = q.n[5] < 0.6
    m.limbs[:, :, ARM] = 0.4 if guard else 0.1
    m.limbs[:, :, FORE] = 1.9 if guard else 0.6
    m.limbs[:, :, FORE_OUT] = -0.2 if guard else 0.3
    m.limbs[:, :, ARM_OUT] = (0.3 + 0.4 * out)[:, None]


def raise_arms(m: Motion, t: Floats, q: Manner) -> None:
    """Raise both arms overhead, in a V or straight up."""
    beat = 0.15 * q.wave(0.5 + 0.6 * q.tempo, t)[:, None]
    m.limbs[:, :, ARM] = 2.85 + 0.2 * q.n[0] + beat
    m.limbs[:, :, ARM_OUT] = 0.2 + 0.15 * q.n[1]
    m.limbs[:, :, FORE] = 3.05 + beat
    m.limbs[:, :, FORE_OUT] = 0.1 + 0.25 * q.n[2] + beat


def phone(m: Motion, t: Floats, q: Manner) -> None:
    """Hold a phone to the ear, or look at it in front of the chest."""
    arm = m.limbs[:, q.side]
    if at_ear(q):
        arm[:, ARM], arm[:, ARM_OUT] = 0.5 + 0.15 * q.n[0], 0.4 + 0.15 * q.n[1]
        arm[:, FORE], arm[:, FORE_OUT] = 2.65 + 0.1 * q.n[2], -0.2
    else:
        arm[:, ARM], arm[:, ARM_OUT] = 0.3 + 0.12 * q.n[0], 0.1
        arm[:, FORE], arm[:, FORE_OUT] = 1.9 + 0.12 * q.n[2], -0.35
        m.trunk[:, HEAD_PITCH] += 0.4


def at_ear(q: Manner) -> bool:
    """Whether the phone is held to the ear."""
    return bool(q.n[6] < 0.3)


GESTURE_MOTION: tuple[Callable[[Motion, Floats, Manner], None], ...] = (
    wave,
    clap,
    punch,
    kick,
    raise_arms,
    phone,
)


def add_gesture(m: Motion, gesture: int, t: Floats, q: Manner) -> None:
    """Overlay a gesture (its index in GESTURES) on a pose's motion, at times t [T]."""
    GESTURE_MOTION[gesture](m, t, q)
