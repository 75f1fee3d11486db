"""Who is who from keyframe to keyframe, whatever they do: one track a person.

At each keyframe the people seen are assigned to the tracks that are alive, the sum of overlaps
as large as can be. A track's box is compared where it was last and where its motion leads,
grown by how uncertain that is: after a long gap, or at one keyframe a second, a person can be
where the old box never was. A track that nobody continues lives on for `max_gap` seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.link.kalman import Floats, Motion, to_corners

Rows = NDArray[np.intp]

GROWN = 1.0  # sides by which a box is grown at most
UNSURE = 0.05  # cost of a second's absence: of two tracks the one seen lately goes on


@dataclass
class Alive:
    """Tracks that may go on."""

    number: Rows  # [a]
    motion: Motion
    seen: Floats  # [a]  seconds, the last time
    chain: Rows  # [a]  of tubelets that it was last seen in; -1: none

    def select(self, rows: NDArray[np.bool_]) -> Alive:
        return Alive(self.number[rows], self.motion.select(rows), self.seen[rows], self.chain[rows])


def track_people(
    time: Floats, box: Floats, frame: Rows, chain: Rows, max_gap: float, min_iou: float
) -> NDArray[np.int32]:
    """The track [n] of each box of one video, numbered from 0 by first appearance.

    time [f] seconds of the keyframes, growing; box [n, 4] with the frame [n] of each, growing;
    chain [n]: boxes of one chain of tubelets are one person, -1: of none.
    Which of equal assignments is taken hangs on the order of the boxes of a frame.
    """
    track = np.full(len(box), -1, np.int32)
    nobody = np.zeros(0, np.intp)
    alive = Alive(nobody, Motion.start(box[:0]), np.zeros(0), nobody)
    made = 0
    for rows in _by_frame(frame):
        now = float(time[frame[rows[0]]])
        alive = alive.select(now - alive.seen <= max_gap)
        here = box[rows]
        old, new = assign(alive, here, chain[rows], now, min_iou)
        alive.motion.correct(old, now - alive.seen[old], here[new])
        alive.seen[old], alive.chain[old] = now, chain[rows[new]]
        track[rows[new]] = alive.number[old]
        fresh = np.setdiff1d(np.arange(len(rows)), new, assume_unique=True)
        numbers = np.arange(made, made + len(fresh))
        track[rows[fresh]], made = numbers, made + len(fresh)
        alive = Alive(
            np.concatenate([alive.number, numbers]),
            alive.motion.join(Motion.start(here[fresh])),
            np.concatenate([alive.seen, np.full(len(fresh), now)]),
            np.concatenate([alive.chain, chain[rows[fresh]]]),
        )
    return track


def assign(alive: Alive, box: Floats, chain: Rows, now: float, min_iou: float) -> tuple[Rows, Rows]:
    """Pairs (row of alive, row of box) of the best assignment."""
    none = np.zeros(0, np.intp)
    if not len(alive.number) or not len(box):
        return none, none
    from scipy.optimize import linear_sum_assignment

    gap = now - alive.seen
    ahead, spread = alive.motion.predict(gap)
    last = to_corners(alive.motion.place)
    pad = np.minimum(spread, GROWN) * np.maximum(alive.motion.place[:, 2:].max(1), 1e-6)
    likeness = np.maximum(grown_iou(ahead, box, pad), grown_iou(last, box, pad))
    likeness += (alive.chain[:, None] == chain) & (chain >= 0)
    old, new = linear_sum_assignment(
        np.where(likeness >= min_iou, -likeness, 1.0) + UNSURE * gap[:, None]
    )
    good = likeness[old, new] >= min_iou
    return old[good], new[good]


def grown_iou(a: Floats, b: Floats, pad: Floats) -> Floats:
    """IoU [a, b] of boxes a [a, 4] and b [b, 4], each pair grown by pad [a] on every side."""
    pad = pad[:, None]
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    side = np.maximum(high - low + 2 * pad[..., None], 0)
    shared = side[..., 0] * side[..., 1]
    first = a[:, None, 2:] - a[:, None, :2] + 2 * pad[..., None]
    second = b[None, :, 2:] - b[None, :, :2] + 2 * pad[..., None]
    union = first[..., 0] * first[..., 1] + second[..., 0] * second[..., 1] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _by_frame(frame: Rows) -> Iterator[Rows]:
    """The rows of each frame that has any, in order."""
    if len(frame):
        yield from np.split(np.arange(len(frame)), np.flatnonzero(np.diff(frame)) + 1)
