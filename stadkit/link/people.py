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
# What an assignment costs beside the overlap that it lacks: a second of absence, a track that has
# hardly been seen (over the root of its sights); what only grown boxes share counts little.
UNSURE, YOUNG, FAR = 0.1, 0.2, 0.1
CERTAIN, NEVER = 4.0, 1e6  # of one chain of tubelets, whatever overlaps; out of reach


@dataclass
class Alive:
    """Tracks that may go on."""

    number: Rows  # [a]
    motion: Motion
    seen: Floats  # [a]  seconds, the last time
    chain: Rows  # [a]  of tubelets that it was last seen in; -1: none
    hits: Rows  # [a]  how often it was seen

    def select(self, rows: NDArray[np.bool_]) -> Alive:
        return Alive(
            self.number[rows],
            self.motion.select(rows),
            self.seen[rows],
            self.chain[rows],
            self.hits[rows],
        )


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
    alive = Alive(nobody, Motion.start(box[:0]), np.zeros(0), nobody, nobody)
    made = 0
    for rows in _by_frame(frame):
        now = float(time[frame[rows[0]]])
        late = now - alive.seen > max_gap
        alive = alive.select(~late) if late.any() else alive
        here = box[rows]
        old, new = assign(alive, here, chain[rows], now, min_iou)
        alive.motion.correct(old, now - alive.seen[old], here[new])
        alive.seen[old], alive.chain[old] = now, chain[rows[new]]
        alive.hits[old] += 1
        track[rows[new]] = alive.number[old]
        fresh = np.delete(np.arange(len(rows)), new)
        if not len(fresh):
            continue
        numbers = np.arange(made, made + len(fresh))
        track[rows[fresh]], made = numbers, made + len(fresh)
        alive = Alive(
            np.concatenate([alive.number, numbers]),
            alive.motion.join(Motion.start(here[fresh])),
            np.concatenate([alive.seen, np.full(len(fresh), now)]),
            np.concatenate([alive.chain, chain[rows[fresh]]]),
            np.concatenate([alive.hits, np.ones(len(fresh), np.intp)]),
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
    plain, grown = _better(overlaps(np.concatenate([ahead, last]), box, np.concatenate([pad, pad])))
    same = (alive.chain[:, None] == chain) & (chain >= 0)
    doubt = UNSURE * gap + YOUNG / np.sqrt(alive.hits)
    cost = doubt[:, None] - plain - FAR * grown - CERTAIN * same
    allowed = same | (grown >= min_iou)
    old, new = linear_sum_assignment(np.where(allowed, cost, NEVER))
    good = allowed[old, new]
    return old[good], new[good]


def _better(pair: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Overlaps [2 a, b] of predictions, then last places -> the larger of each [a, b]."""
    plain, grown = (np.maximum(*np.split(part, 2)) for part in pair)
    return plain, grown


def overlaps(a: Floats, b: Floats, pad: Floats) -> tuple[Floats, Floats]:
    """IoU [a, b] of boxes a [a, 4] and b [b, 4]: as they are, and grown by pad [a] all around."""
    low = np.maximum(a[:, None, :2], b[:, :2])
    common = np.minimum(a[:, None, 2:], b[:, 2:]) - low  # [a, b, 2], below 0 where apart
    wide, high = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    more = 2 * pad[:, None]
    plain = _iou(np.maximum(common, 0), wide[:, None], high[None])
    grown = _iou(
        np.maximum(common + more[..., None], 0), (wide + more)[:, None], high + more[..., None]
    )
    return plain, grown


def _iou(common: Floats, first: Floats, second: Floats) -> Floats:
    """IoU from the sides [..., 2] of what is common and of both boxes; 0 without a union."""
    shared = common[..., 0] * common[..., 1]
    union = first[..., 0] * first[..., 1] + second[..., 0] * second[..., 1] - shared
    return np.asarray(shared / np.maximum(union, 1e-30))


def _by_frame(frame: Rows) -> Iterator[Rows]:
    """The rows of each frame that has any, in order."""
    if len(frame):
        yield from np.split(np.arange(len(frame)), np.flatnonzero(np.diff(frame)) + 1)
