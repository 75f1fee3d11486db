"""Arms that do nothing in particular: the ways in which people hold them."""

from __future__ import annotations

import numpy as np

from stadkit.synth.chance import Floats
from stadkit.synth.motion import (
    ARM,
    FORE,
    FORE_OUT,
    LEFT,
    RIGHT,
    Manner,
    Motion,
)

# arm, arm out, forearm, forearm out: hanging, on the hips, folded, loose, before the belly,
# low before the belly, behind the back
IDLE_ARMS = (
    (0.05, 0.12, 0.2, 0.06),
    (-0.35, 0.75, 0.3, -0.75),
    (0.45, 0.1, 1.35, -1.05),
    (-0.1, 0.25, 0.4, -0.1),
    (0.3, 0.15, 1.5, -0.25),
    (0.3, 0.2, 1.2, -0.1),
    (-0.3, 0.2, -0.55, -0.5),
)
MOVING_IDLE = (4, 5)  # hands that talk


def idle_arms(m: Motion, t: Floats, q: Manner, style: int) -> None:
    """Arms that do nothing in particular."""
    for side in (LEFT, RIGHT):
        habit = q.n[side : side + 8 : 2] * (0.15, 0.08, 0.2, 0.15)
        m.limbs[:, side, ARM : FORE_OUT + 1] = np.array(IDLE_ARMS[style]) + habit
        if style in MOVING_IDLE:
            m.limbs[:, side, FORE] += 0.35 * q.amplitude * q.wave(0.5 + 0.5 * q.sway, t, 2 * side)
            m.limbs[:, side, FORE_OUT] += 0.25 * np.sin(2 * np.pi * 0.6 * t + side)
