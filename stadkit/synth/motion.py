"""Motion of a body: joint angles over time, and the manner in which one person moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stadkit.synth.chance import Floats, Rng

# Columns of Motion.trunk. Angles are radians, heights are body heights.
TORSO_PITCH, TORSO_ROLL, TORSO_TWIST, JUMP, HEAD_YAW, HEAD_PITCH, BODY_PITCH, BODY_ROLL = range(8)
TRUNK = 8
# Columns of Motion.limbs. HIP, ARM and FORE are directions from straight down (0) to the front
# (pi / 2); *_OUT turn them away from the body's middle; KNEE is the angle at the knee.
HIP, HIP_OUT, KNEE, ARM, ARM_OUT, FORE, FORE_OUT = range(7)
LIMB = 7
LEFT, RIGHT = 0, 1


@dataclass(frozen=True)
class Motion:
    """Joint angles at each time; poses and gestures fill its arrays."""

    trunk: Floats  # [T, 8]
    limbs: Floats  # [T, 2, 7]  left, right
    speed: Floats  # [T]  forward, body heights a second

    @classmethod
    def still(cls, times: int) -> Motion:
        """All angles zero: upright, arms hanging."""
        return cls(np.zeros((times, TRUNK)), np.zeros((times, 2, LIMB)), np.zeros(times))

    def blend(self, other: Motion, weight: Floats) -> Motion:
        """This motion where weight [T] is 0, the other where it is 1."""
        w = weight[:, None]
        return Motion(
            self.trunk * (1 - w) + other.trunk * w,
            self.limbs * (1 - w[..., None]) + other.limbs * w[..., None],
            self.speed * (1 - weight) + other.speed * weight,
        )


@dataclass(frozen=True)
class Manner:
    """The random numbers of one stretch of action: tempo, amplitude, variant and habits."""

    sway: float  # Hz, of the slow sway of anybody alive
    phase: float  # radians
    amplitude: float  # about 1
    cadence: float  # double steps a second when walking
    idle: int  # which way unused arms hang
    swing: float  # of the arms when walking
    variant: float  # 0..1, chooses among ways of doing the same
    jump_rate: float  # Hz
    jump_height: float  # body heights
    side: int  # LEFT or RIGHT does the one-sided gestures
    tempo: float  # 0..1, of gestures
    n: Floats  # [16]  normal draws within +-2, one a habit

    @classmethod
    def draw(cls, rng: Rng) -> Manner:
        """One manner."""
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
        """A sine of this frequency at times t [T], from this manner's phase."""
        return np.asarray(np.sin(2 * np.pi * hertz * t + self.phase + shift))
