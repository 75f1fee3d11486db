"""Body model: bone lengths, joint angles over time, and forward kinematics.

`Motion` holds the joint angles, `Manner` the random parameters of how a person moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stadkit.synth.draws import Floats, Rng, happens

JOINTS = (
    "pelvis", "chest", "neck", "head",
    "left shoulder", "left elbow", "left wrist", "left hand",
    "right shoulder", "right elbow", "right wrist", "right hand",
    "left hip", "left knee", "left ankle", "left toe",
    "right hip", "right knee", "right ankle", "right toe",
)  # fmt: skip
PELVIS, CHEST, NECK, HEAD = range(4)
SHOULDER, ELBOW, WRIST, HAND = (4, 8), (5, 9), (6, 10), (7, 11)
HIP_JOINT, KNEE_JOINT, ANKLE, TOE = (12, 16), (13, 17), (14, 18), (15, 19)
MIRRORED = (
    *range(4),
    *range(8, 12),
    *range(4, 8),
    *range(16, 20),
    *range(12, 16),
)  # left and right swapped
# Points besides the joints that move with the body: anchors of clothes, hair and faces.
FACE, EAR, CROWN, BACK, BELLY, HAIR = 20, 21, 22, 23, 24, 25
THIGH, HEM, BAG = (26, 27), (28, 29), 30
POINTS = 31
CROWN_UP = 0.3  # head radii from the centre of the head to the point CROWN
# Flesh below a joint in body heights: the lowest point touches the ground.
FLESH = np.full(POINTS, 0.02)
FLESH[[PELVIS, CHEST, *HIP_JOINT]] = 0.07
FLESH[[*KNEE_JOINT, *ANKLE]] = 0.036
FLESH[[*HAND, *TOE]] = 0.012
FLESH[[NECK, HEAD]] = 0.055
FLESH[20:] = -1.0  # never what a body stands on
# Columns of Motion.trunk. Angles are radians, heights are body heights.
TORSO_PITCH, TORSO_ROLL, TORSO_TWIST, JUMP, HEAD_YAW, HEAD_PITCH, BODY_PITCH, BODY_ROLL = range(8)
TRUNK = 8
# Columns of Motion.limbs. HIP, ARM and FORE are directions from straight down (0) to the front
# (pi / 2); *_OUT rotate them away from the body's midline; KNEE is the knee angle.
HIP, HIP_OUT, KNEE, ARM, ARM_OUT, FORE, FORE_OUT = range(7)
LIMB = 7
LEFT, RIGHT = 0, 1


@dataclass(frozen=True)
class Build:
    """Bone lengths of a body in body heights, before `scale`."""

    scale: float  # 1 = adult; children are smaller
    torso: float
    neck: float
    shoulder: float
    upper_arm: float
    forearm: float
    hand: float
    hip: float
    thigh: float
    shin: float
    foot: float
    head: float  # radius
    girth: float  # 1 = lean

    @classmethod
    def draw(cls, rng: Rng) -> Build:
        """Draw a body; about one in six is a child."""
        child = happens(rng, 0.16)
        scale = rng.uniform(0.48, 0.84) if child else rng.uniform(0.88, 1.1)
        return cls(
            scale=scale,
            torso=0.29 * rng.uniform(0.95, 1.06),
            neck=0.105,
            shoulder=0.115 * rng.uniform(0.85, 1.15) * (0.92 if child else 1),
            upper_arm=0.17 * rng.uniform(0.93, 1.07),
            forearm=0.145 * rng.uniform(0.93, 1.07),
            hand=0.055,
            hip=0.055 * rng.uniform(0.85, 1.2),
            thigh=0.245 * rng.uniform(0.94, 1.06),
            shin=0.24 * rng.uniform(0.94, 1.06),
            foot=0.11 * rng.uniform(0.9, 1.1),
            head=0.06 * rng.uniform(0.92, 1.12) * (1 + 0.55 * max(0.9 - scale, 0) / 0.4),
            girth=float(np.clip(rng.normal(1.03, 0.17), 0.75, 1.55)),
        )


def joints(motion: Motion, build: Build) -> Floats:
    """Points [T, 31, 3] of a body facing +z, x to its right, y up, ground at y = 0."""
    p: Floats = np.zeros((len(motion.speed), POINTS, 3))
    up, right = _torso_axes(motion)
    p[:, NECK] = up * build.torso
    p[:, CHEST] = p[:, NECK] * 0.55
    _put_head(p, motion, build)
    for side, sign in enumerate((-1, 1)):
        _put_arm(p, motion, build, side, sign, up, right)
        _put_leg(p, motion, build, side, sign)
    _put_clothes(p, build, np.cross(right, up))
    p = _turn_body(p, motion.trunk[:, BODY_PITCH], motion.trunk[:, BODY_ROLL])
    ground = (p[..., 1] - FLESH).min(1)
    p[..., 1] += (motion.trunk[:, JUMP] - ground)[:, None]
    return p * build.scale


def _torso_axes(motion: Motion) -> tuple[Floats, Floats]:
    pitch, roll, twist = (motion.trunk[:, i] for i in (TORSO_PITCH, TORSO_ROLL, TORSO_TWIST))
    up = np.stack([np.sin(roll), np.cos(pitch) * np.cos(roll), np.sin(pitch) * np.cos(roll)], -1)
    right = np.stack([np.cos(twist) * np.cos(roll), -np.sin(roll), -np.sin(twist)], -1)
    return up, right


def direction(forward: Floats, out: Floats, sign: int) -> Floats:
    """Unit vectors [T, 3]: straight down, rotated forwards by `forward` and sideways by `out`."""
    return np.stack(
        [sign * np.sin(out), -np.cos(out) * np.cos(forward), np.cos(out) * np.sin(forward)], -1
    )


def _put_head(p: Floats, motion: Motion, build: Build) -> None:
    pitch = motion.trunk[:, TORSO_PITCH] * 0.8 + motion.trunk[:, HEAD_PITCH] * 0.6
    up = np.stack([0.1 * np.sin(motion.trunk[:, TORSO_ROLL]), np.cos(pitch), np.sin(pitch)], -1)
    yaw = motion.trunk[:, HEAD_YAW]
    gaze = 0.6 * motion.trunk[:, TORSO_PITCH] + motion.trunk[:, HEAD_PITCH]
    face = np.stack([np.sin(yaw), -np.sin(gaze), np.cos(yaw) * np.cos(gaze)], -1)
    face /= np.linalg.norm(face, axis=-1, keepdims=True)
    p[:, HEAD] = p[:, NECK] + up * build.neck + face * 0.012
    p[:, FACE] = p[:, HEAD] + face * build.head
    p[:, EAR] = p[:, HEAD] + np.cross(up, face) * build.head
    p[:, CROWN] = p[:, HEAD] + up * (CROWN_UP * build.head)
    p[:, HAIR] = p[:, HEAD] - face * 0.03 - up * 0.1


def _put_arm(
    p: Floats, motion: Motion, build: Build, side: int, sign: int, up: Floats, right: Floats
) -> None:
    limb = motion.limbs[:, side]
    fore = direction(limb[:, FORE], limb[:, FORE_OUT], sign)
    p[:, SHOULDER[side]] = p[:, NECK] - up * 0.03 + right * (sign * build.shoulder)
    upper = direction(limb[:, ARM], limb[:, ARM_OUT], sign)
    p[:, ELBOW[side]] = p[:, SHOULDER[side]] + upper * build.upper_arm
    p[:, WRIST[side]] = p[:, ELBOW[side]] + fore * build.forearm
    p[:, HAND[side]] = p[:, WRIST[side]] + fore * build.hand


def _put_leg(p: Floats, motion: Motion, build: Build, side: int, sign: int) -> None:
    limb = motion.limbs[:, side]
    shin = limb[:, HIP] - limb[:, KNEE]
    p[:, HIP_JOINT[side], 0] = sign * build.hip
    thigh = direction(limb[:, HIP], limb[:, HIP_OUT], sign)
    p[:, KNEE_JOINT[side]] = p[:, HIP_JOINT[side]] + thigh * build.thigh
    # With a knee far out to the side (sitting cross-legged) the shin points back inwards.
    fold = np.where(limb[:, HIP_OUT] > 0.7, -0.6, limb[:, HIP_OUT])
    p[:, ANKLE[side]] = p[:, KNEE_JOINT[side]] + direction(shin, fold, sign) * build.shin
    tip = np.clip(shin, -1.2, 0.6) * 0.7
    toe = np.stack([np.full_like(tip, sign * 0.25), -0.25 + np.sin(tip), np.cos(tip)], -1)
    p[:, TOE[side]] = p[:, ANKLE[side]] + toe * build.foot


def _put_clothes(p: Floats, build: Build, forward: Floats) -> None:
    p[:, BACK] = p[:, CHEST] - forward * 0.11
    p[:, BELLY] = p[:, CHEST] * 0.45 + forward * (0.02 + 0.05 * (build.girth - 1))
    for side, sign in enumerate((-1, 1)):
        hip, knee = p[:, HIP_JOINT[side]], p[:, KNEE_JOINT[side]]
        p[:, THIGH[side]] = 0.45 * hip + 0.55 * knee
        p[:, HEM[side]] = knee + np.array([sign * 0.03, -0.02, 0.0])
    p[:, BAG] = p[:, HAND[1]] - np.array([0, 0.09, 0])


def _turn_body(p: Floats, pitch: Floats, roll: Floats) -> Floats:
    if not (pitch.any() or roll.any()):
        return p
    cos, sin = np.cos(pitch)[:, None], np.sin(pitch)[:, None]
    y, z = p[..., 1] * cos - p[..., 2] * sin, p[..., 1] * sin + p[..., 2] * cos
    cos, sin = np.cos(roll)[:, None], np.sin(roll)[:, None]
    return np.stack([p[..., 0] * cos + y * sin, y * cos - p[..., 0] * sin, z], -1)


def to_world(p: Floats, x: Floats, z: Floats, yaw: Floats) -> Floats:
    """Rotate body points [T, K, 3] by yaw [T] (0 faces +z) and move them to x, z [T]."""
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    return np.stack(
        [
            cos * p[..., 0] + sin * p[..., 2] + x[:, None],
            p[..., 1],
            -sin * p[..., 0] + cos * p[..., 2] + z[:, None],
        ],
        -1,
    )


@dataclass(frozen=True)
class Motion:
    """Joint angles over time, set by poses and gestures."""

    trunk: Floats  # [T, 8]
    limbs: Floats  # [T, 2, 7]  left, right
    speed: Floats  # [T]  forward, body heights per second

    @classmethod
    def still(cls, times: int) -> Motion:
        """A motion with all angles zero: upright, arms hanging."""
        return cls(np.zeros((times, TRUNK)), np.zeros((times, 2, LIMB)), np.zeros(times))

    def blend(self, other: Motion, weight: Floats) -> Motion:
        """Interpolate: this motion for weight [T] 0, the other for 1."""
        w = weight[:, None]
        return Motion(
            self.trunk * (1 - w) + other.trunk * w,
            self.limbs * (1 - w[..., None]) + other.limbs * w[..., None],
            self.speed * (1 - weight) + other.speed * weight,
        )


@dataclass(frozen=True)
class Manner:
    """The random parameters of one action segment: tempo, amplitude, variant and habits."""

    sway: float  # Hz, of the slow body sway
    phase: float  # radians
    amplitude: float  # about 1
    cadence: float  # double steps per second when walking
    idle: int  # style of idle arms
    swing: float  # arm swing when walking
    variant: float  # 0..1, selects a variant of the action
    jump_rate: float  # Hz
    jump_height: float  # body heights
    side: int  # LEFT or RIGHT, for one-sided gestures
    tempo: float  # 0..1, of gestures
    n: Floats  # [16]  normal draws clipped to +-2, one per habit

    @classmethod
    def draw(cls, rng: Rng) -> Manner:
        """Draw random parameters."""
        return cls(
            sway=rng.uniform(0.15, 0.5),
            phase=rng.uniform(0, 2 * np.pi),
            amplitude=rng.uniform(0.75, 1.2),
            cadence=rng.uniform(0.78, 1.1),
            idle=int(rng.integers(0, 7)),
            swing=rng.uniform(0.4, 1.2),
            variant=rng.random(),
            jump_rate=rng.uniform(1.0, 1.7),
            jump_height=rng.uniform(0.08, 0.27),
            side=int(rng.integers(0, 2)),
            tempo=rng.random(),
            n=rng.normal(0, 1, 16).clip(-2, 2),
        )

    def wave(self, hertz: float, t: Floats, shift: float = 0.0) -> Floats:
        """A sine of this frequency at times t [T], starting at `phase`."""
        return np.asarray(np.sin(2 * np.pi * hertz * t + self.phase + shift))
