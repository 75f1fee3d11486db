"""Which detection is which person from keyframe to keyframe: one track a person.

Boxes are predicted by a constant-velocity Kalman filter, all tracks at once, and assigned to
detections at the least cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Rows, rows_by_frame

GROWN = 1.0  # sides by which a box is grown at most
# What an assignment costs beside the overlap that it lacks: a second of absence, a track that has
# hardly been seen (over the root of its sights); what only grown boxes share counts little.
UNSURE, YOUNG, FAR = 0.1, 0.2, 0.1
STAYS = 0.8  # what the overlap with where a track was last counts
ALIKE = 0.4  # what doing the same as at the last sight counts: mostly one goes on with it
ALONE = 0.3  # what it costs to leave a track and a box unmatched rather than match them badly
Floats = NDArray[np.float64]
PLACE_NOISE = 0.05**2  # of a detection's coordinate, sides^2
SPEED = 0.6**2  # of a new track, (sides / s)^2
PUSH = 0.8  # how fast speeds wander, sides^2 / s^3


@dataclass
class Alive:
    """Tracks that may go on."""

    number: Rows  # [a]
    motion: KalmanFilter
    seen: Floats  # [a]  seconds, the last time
    hits: Rows  # [a]  how often it was seen
    held: Rows  # [a]  the last frame of the chain that it was last seen in; -1: of none
    doing: Floats  # [a, c]  its scores when it was last seen, made 1 long

    def select(self, rows: NDArray[np.bool_] | Rows) -> Alive:
        return Alive(
            self.number[rows],
            self.motion.select(rows),
            self.seen[rows],
            self.hits[rows],
            self.held[rows],
            self.doing[rows],
        )


def track_people(
    time: Floats,
    box: Floats,
    score: Floats,
    frame: Rows,
    chain: Rows,
    max_gap: float,
    min_iou: float,
) -> NDArray[np.int32]:
    """The track [n] of each box of one video, numbered from 0 by first appearance.

    time [f] seconds of the keyframes, growing; box [n, 4] and action scores [n, c], 0 or more,
    with the frame [n] of each, growing;
    chain [n]: boxes of one chain are one person, whatever they overlap and however long it is
    away, and nobody else while it lasts; -1: of none.
    Which of equal assignments is taken hangs on the order of the boxes of a frame.
    """
    track = np.full(len(box), -1, np.int32)
    ends = _ends(chain, frame)  # [n]
    owned: dict[int, int] = {}  # the track of each chain that was seen
    nobody = np.zeros(0, np.intp)
    alive = Alive(nobody, KalmanFilter.start(box[:0]), np.zeros(0), nobody, nobody, score[:0])
    doing = _unit(score)
    made = 0
    for rows in rows_by_frame(frame):
        at = int(frame[rows[0]])
        now = float(time[at])
        late = (now - alive.seen > max_gap) & (alive.held < at)
        alive = alive.select(~late) if late.any() else alive
        old, new = _pairs(alive, box[rows], doing[rows], chain[rows], owned, at, now, min_iou)
        alive.motion.correct(old, now - alive.seen[old], box[rows[new]])
        alive.seen[old], alive.held[old] = now, ends[rows[new]]
        alive.doing[old] = doing[rows[new]]
        alive.hits[old] += 1
        track[rows[new]] = alive.number[old]
        unmatched = np.ones(len(rows), bool)
        unmatched[new] = False
        fresh = rows[unmatched]
        if len(fresh):
            numbers = np.arange(made, made + len(fresh))
            track[fresh], made = numbers, made + len(fresh)
            alive = _born(alive, numbers, box[fresh], doing[fresh], now, ends[fresh])
        given = rows[chain[rows] >= 0]
        owned.update(zip(chain[given].tolist(), track[given].tolist(), strict=True))
    return track


def _unit(score: Floats) -> Floats:
    """Scores [n, c] made 1 long, so that their products are cosines; 0 stays 0."""
    return np.asarray(score / np.maximum(np.linalg.norm(score, axis=1, keepdims=True), 1e-9))


def _ends(chain: Rows, frame: Rows) -> Rows:
    """The last frame [n] of each row's chain, -1 for rows of none."""
    last = np.full(int(chain.max(initial=-1)) + 2, -1, np.intp)
    np.maximum.at(last, chain, frame)
    return np.where(chain >= 0, last[chain], -1)


def _born(alive: Alive, number: Rows, box: Floats, doing: Floats, now: float, held: Rows) -> Alive:
    """The tracks alive and new ones."""
    return Alive(
        np.concatenate([alive.number, number]),
        alive.motion.join(KalmanFilter.start(box)),
        np.concatenate([alive.seen, np.full(len(number), now)]),
        np.concatenate([alive.hits, np.ones(len(number), np.intp)]),
        np.concatenate([alive.held, held]),
        np.concatenate([alive.doing, doing]),
    )


def _pairs(
    alive: Alive,
    box: Floats,
    doing: Floats,
    chain: Rows,
    owned: dict[int, int],
    at: int,
    now: float,
    min_iou: float,
) -> tuple[Rows, Rows]:
    """(row of alive, row of box) of who goes on: chains that have a track, then the others."""
    if not owned:
        return assign(alive, box, doing, now, min_iou)
    number = np.array([owned.get(c, -1) for c in chain.tolist()], np.intp)
    mine = np.flatnonzero(number >= 0)
    if not len(mine):
        free, left = np.flatnonzero(alive.held < at), np.arange(len(box))
    else:
        place = {int(n): i for i, n in enumerate(alive.number.tolist())}
        taken = np.array([place[int(n)] for n in number[mine].tolist()], np.intp)
        free = np.setdiff1d(np.flatnonzero(alive.held < at), taken)
        left = np.flatnonzero(number < 0)
    rows = alive if len(free) == len(alive.number) else alive.select(free)
    old, new = assign(rows, box[left], doing[left], now, min_iou)
    if not len(mine):
        return free[old], new
    return np.concatenate([taken, free[old]]), np.concatenate([mine, left[new]])


def assign(
    alive: Alive, box: Floats, doing: Floats, now: float, min_iou: float
) -> tuple[Rows, Rows]:
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
    doubt = UNSURE * gap + YOUNG / np.sqrt(alive.hits)
    same = alive.doing @ doing.T  # cosines [a, b]
    allowed = grown >= min_iou
    # A match that is allowed is never dearer than none: nobody far away decides whether it holds.
    price = doubt[:, None] - plain - FAR * grown - ALIKE * same
    match = np.minimum(price, ALONE - 1e-3)
    cost = np.where(allowed, match, ALONE)
    old, new = linear_sum_assignment(cost)
    good = allowed[old, new]
    return old[good], new[good]


def _better(pair: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Overlaps [2 a, b] of predictions, then last places -> the larger of each [a, b].

    The last place counts less: two who meet halfway between keyframes have changed places.
    """
    plain, grown = pair
    half = len(plain) // 2
    near = np.maximum(plain[:half], STAYS * plain[half:])
    return near, np.maximum(grown[:half], grown[half:])


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


@dataclass
class KalmanFilter:
    """The filters of a tracks; `place` and `speed` change with `predict` and `correct`."""

    place: Floats  # [a, 4]  centre x y, width, height
    speed: Floats  # [a, 4]  a second
    cov: Floats  # [a, 3]  variance of place, covariance, variance of speed, in sides

    @classmethod
    def start(cls, box: Floats) -> KalmanFilter:
        """Tracks that begin at boxes [a, 4] x1 y1 x2 y2."""
        cov = np.tile([PLACE_NOISE, 0.0, SPEED], (len(box), 1))
        return cls(to_centre(box), np.zeros_like(box), cov)

    def predict(self, seconds: Floats) -> tuple[Floats, Floats]:
        """Boxes [a, 4] after `seconds` [a], and how uncertain they are [a], in sides."""
        p00, p01, p11 = self.cov.T
        t = seconds
        spread = p00 + 2 * t * p01 + t * t * p11 + PUSH * t**3 / 3
        return to_corners(self.place + self.speed * t[:, None]), np.sqrt(spread)

    def correct(self, rows: NDArray[np.intp], seconds: Floats, box: Floats) -> None:
        """Tracks `rows` were seen at boxes [k, 4] after `seconds` [k]."""
        p00, p01, p11 = self.cov[rows].T
        t = seconds
        p00 = p00 + 2 * t * p01 + t * t * p11 + PUSH * t**3 / 3
        p01 = p01 + t * p11 + PUSH * t**2 / 2
        p11 = p11 + PUSH * t
        total = p00 + PLACE_NOISE
        gain, push = p00 / total, p01 / total
        ahead = self.place[rows] + self.speed[rows] * t[:, None]
        off = to_centre(box) - ahead
        self.place[rows] = ahead + gain[:, None] * off
        self.speed[rows] += push[:, None] * off
        self.cov[rows] = np.stack([(1 - gain) * p00, (1 - gain) * p01, p11 - push * p01], 1)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> KalmanFilter:
        """Some of the tracks."""
        return KalmanFilter(self.place[rows], self.speed[rows], self.cov[rows])

    def join(self, other: KalmanFilter) -> KalmanFilter:
        """These tracks, then the other's."""
        return KalmanFilter(
            np.concatenate([self.place, other.place]),
            np.concatenate([self.speed, other.speed]),
            np.concatenate([self.cov, other.cov]),
        )


def to_centre(box: Floats) -> Floats:
    """x1 y1 x2 y2 [n, 4] -> centre x y, width, height."""
    return np.concatenate([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], 1)


def to_corners(place: Floats) -> Floats:
    """Centre x y, width, height [n, 4] -> x1 y1 x2 y2; sides below 0 are 0."""
    half = np.maximum(place[:, 2:], 0) / 2
    return np.concatenate([place[:, :2] - half, place[:, :2] + half], 1)
