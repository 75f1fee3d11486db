"""Poses on the feet (or, rarely, the hands): stand, walk, run, bend, jump."""

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
    HEAD_PITCH,
    HIP,
    HIP_OUT,
    JUMP,
    KNEE,
    LEFT,
    RIGHT,
    TORSO_PITCH,
    TORSO_ROLL,
    TORSO_TWIST,
    Manner,
    Motion,
)


def stand(m: Motion, t: Floats, q: Manner) -> None:
    """Upright on both feet, swaying a little."""
    sway = q.wave(q.sway, t)
    idle_arms(m, t, q, q.idle)
    m.trunk[:, TORSO_PITCH] = 0.03 + 0.05 * q.n[8] + 0.03 * sway
    m.trunk[:, TORSO_ROLL] = 0.04 * sway + 0.04 * q.n[12]
    m.trunk[:, TORSO_TWIST] = 0.15 * sway
    m.limbs[:, LEFT, HIP] = 0.05 + 0.08 * q.n[9]
    m.limbs[:, RIGHT, HIP] = -0.03 - 0.08 * q.n[9]
    m.limbs[:, :, KNEE] = 0.06 + 0.05 * abs(q.n[11])
    m.limbs[:, :, HIP_OUT] = 0.06 + 0.07 * abs(q.n[10])


def _gait(m: Motion, t: Floats, q: Manner, running: bool) -> None:
    reach = (0.8 if running else 0.45) * q.amplitude
    rate = q.cadence * (1.5 if running else 1.0)
    for side in (LEFT, RIGHT):
        turn = np.pi * side
        step, limb = q.wave(rate, t, turn), m.limbs[:, side]
        bend = np.clip(np.cos(2 * np.pi * rate * t + q.phase + turn + 0.4), 0, 1)
        limb[:, HIP] = reach * step + (0.15 if running else 0.03)
        limb[:, KNEE] = (
            0.35 + 1.5 * q.amplitude * bend**1.3
            if running
            else 0.1 + 0.75 * q.amplitude * bend**1.5
        )
        limb[:, HIP_OUT] = 0.03
        limb[:, ARM] = -(0.85 if running else 0.75) * reach * step * q.swing
        limb[:, ARM_OUT] = 0.12 + 0.08 * q.n[1]
        elbow = 1.5 + 0.2 * q.n[2] if running else 0.25 + 0.15 * abs(q.n[3])
        limb[:, FORE] = limb[:, ARM] + elbow
        limb[:, FORE_OUT] = -0.25 if running else 0.02
    m.trunk[:, TORSO_TWIST] = (0.25 if running else 0.15) * q.wave(rate, t)
    # A leg of .47 body heights covers four times its sine of the reach in a double step.
    m.speed[:] = 4 * 0.47 * np.sin(min(reach, 1.2)) * rate * (1.25 if running else 1.0)


def walk(m: Motion, t: Floats, q: Manner) -> None:
    """A stride with straight legs; some carry their arms."""
    _gait(m, t, q, running=False)
    m.trunk[:, TORSO_PITCH] = 0.06 + 0.06 * q.n[8]
    if q.variant < 0.2:
        idle_arms(m, t, q, (4, 5, 2, 6)[q.idle % 4])


def run(m: Motion, t: Floats, q: Manner) -> None:
    """Leaning forward, knees high, elbows bent, both feet off the ground at times."""
    _gait(m, t, q, running=True)
    m.trunk[:, TORSO_PITCH] = 0.22 + 0.06 * q.n[8]
    m.trunk[:, JUMP] = 0.035 * abs(q.wave(1.5 * q.cadence, t, 0.7))


def bend(m: Motion, t: Floats, q: Manner) -> None:
    """The upper body down to the level or further, hands at work below."""
    m.trunk[:, TORSO_PITCH] = 1.2 + 0.25 * q.n[8] + 0.15 * q.amplitude * q.wave(q.sway, t)
    m.trunk[:, HEAD_PITCH] = 0.15 * q.n[7]
    m.limbs[:, LEFT, HIP], m.limbs[:, RIGHT, HIP] = 0.1, 0.02 + 0.2 * q.n[9]
    m.limbs[:, LEFT, KNEE] = 0.2 + 0.25 * abs(q.n[10])
    m.limbs[:, RIGHT, KNEE] = 0.25 + 0.2 * abs(q.n[11])
    m.limbs[:, :, HIP_OUT] = 0.08
    reach = 0.2 if q.variant < 0.6 else 0.8
    for side in (LEFT, RIGHT):
        work = 0.3 * q.amplitude * np.sin(2 * np.pi * 0.8 * t + 1.5 * side)
        m.limbs[:, side, ARM] = reach + work
        m.limbs[:, side, FORE] = m.limbs[:, side, ARM] + 0.2
        m.limbs[:, side, ARM_OUT], m.limbs[:, side, FORE_OUT] = 0.1, -0.05


def jump(m: Motion, t: Floats, q: Manner) -> None:
    """Up and down on the spot, as a jumping jack, or (rarely) over the hands."""
    if turns_over(q):
        return _turn_over(m, t, q)
    beat = q.wave(q.jump_rate, t)
    up, squat = np.clip(beat, 0, 1), np.clip(-beat, 0, 1)
    m.trunk[:, JUMP] = q.jump_height * up
    m.trunk[:, TORSO_PITCH] = 0.05 + 0.3 * squat
    m.limbs[:, :, HIP] = (0.1 + 0.65 * squat + 0.8 * max(q.n[9] - 1, 0) * up)[:, None]
    m.limbs[:, :, KNEE] = (0.15 + 1.15 * squat + 1.6 * max(q.n[9] - 1, 0) * up)[:, None]
    m.speed[:] = 0.9 * max(q.n[13], 0.0) if q.variant < 0.45 else 0.0
    high = (beat * 0.5 + 0.5)[:, None]
    if q.variant < 0.45:
        m.limbs[:, :, ARM] = -0.3 + 1.6 * q.amplitude * high
        m.limbs[:, :, FORE] = m.limbs[:, :, ARM] + 0.5
        m.limbs[:, :, ARM_OUT] = 0.15
    else:
        m.limbs[:, :, HIP_OUT] = 0.05 + 0.4 * high
        m.limbs[:, :, ARM_OUT] = 0.2 + 2.5 * high
        m.limbs[:, :, FORE_OUT] = 0.2 + 2.6 * high


def turns_over(q: Manner) -> bool:
    """Whether this manner of jumping is a cartwheel or a handstand."""
    return q.variant > 0.88


def _turn_over(m: Motion, t: Floats, q: Manner) -> None:
    cartwheel = q.n[14] < 0.6
    turn = 2 * np.pi * 0.6 * t + q.phase if cartwheel else np.pi + 0.15 * q.wave(0.7, t)
    m.trunk[:, BODY_ROLL] = turn if cartwheel else 0.0
    m.trunk[:, BODY_PITCH] = 0.0 if cartwheel else turn
    m.limbs[:, :, ARM] = 2.95
    m.limbs[:, :, FORE] = 3.05
    m.limbs[:, :, ARM_OUT] = 0.25 if cartwheel else 0.1
    m.limbs[:, :, FORE_OUT] = 0.2
    m.limbs[:, LEFT, HIP] = 0.35 * q.n[10]
    m.limbs[:, :, HIP_OUT] = 0.6 if cartwheel else 0.1 + 0.2 * abs(q.n[11])
    m.limbs[:, :, KNEE] = 0.15
    m.speed[:] = 0.0
