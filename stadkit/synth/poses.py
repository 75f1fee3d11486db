"""The eight poses: each sets the joint angles of a still motion.

On the feet (rarely the hands): stand, walk, run, bend, jump. Off the feet: sit, which includes
crouching and kneeling, and lie. Riding: astride a bicycle, motorcycle or horse, or on a scooter.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stadkit.synth.draws import Floats
from stadkit.synth.gestures import idle_arms
from stadkit.synth.skeleton import (
    ARM,
    ARM_OUT,
    BODY_PITCH,
    BODY_ROLL,
    FORE,
    FORE_OUT,
    HEAD_PITCH,
    HEAD_YAW,
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
    """Stand upright on both feet, swaying slightly."""
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
    # A double step of a leg of 0.47 body heights covers four times its length times sin(reach).
    m.speed[:] = 4 * 0.47 * np.sin(min(reach, 1.2)) * rate * (1.25 if running else 1.0)


def walk(m: Motion, t: Floats, q: Manner) -> None:
    """Walk with straight legs; some hold their arms."""
    _gait(m, t, q, running=False)
    m.trunk[:, TORSO_PITCH] = 0.06 + 0.06 * q.n[8]
    if q.variant < 0.2:
        idle_arms(m, t, q, (4, 5, 2, 6)[q.idle % 4])


def run(m: Motion, t: Floats, q: Manner) -> None:
    """Run: leaning forward, knees high, elbows bent, both feet off the ground at times."""
    _gait(m, t, q, running=True)
    m.trunk[:, TORSO_PITCH] = 0.22 + 0.06 * q.n[8]
    m.trunk[:, JUMP] = 0.035 * abs(q.wave(1.5 * q.cadence, t, 0.7))


def bend(m: Motion, t: Floats, q: Manner) -> None:
    """Bend the upper body to horizontal or lower, hands working below."""
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
    """Jump on the spot, as a jumping jack, or (rarely) over the hands."""
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
    """Whether the jump is a cartwheel or a handstand."""
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


def sit(m: Motion, t: Floats, q: Manner) -> None:
    """Sit on a seat or on the ground, crouch or kneel."""
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
    """Whether the person sits on a seat."""
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
    """Lie on the back, belly or side; on the ground or on a bed."""
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
    """Height of the bed in body heights; mostly 0, the ground."""
    return 0.2 * float(max(q.n[13] - 0.2, 0.0))


def ride(m: Motion, t: Floats, q: Manner) -> None:
    """Ride astride a bicycle, motorcycle or horse, or standing on a scooter."""
    {"bicycle": _pedal, "motorcycle": _astride, "horse": _astride, "scooter": _scoot}[mount_of(q)](
        m, t, q
    )


def mount_of(q: Manner) -> str:
    """The mount: bicycle, motorcycle, horse or scooter."""
    return next(
        name
        for name, upper_limit in (
            ("bicycle", 0.5),
            ("motorcycle", 0.68),
            ("horse", 0.84),
            ("scooter", 1.1),
        )
        if q.variant < upper_limit
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
