"""Tracking: associate detections with people from keyframe to keyframe, one track per person.

Boxes are predicted by a constant-velocity Kalman filter, all tracks at once, and assigned to
detections at minimum total cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Rows, rows_by_frame

MAX_PADDING = 1.0  # a box is padded by at most this many of its sides
# The cost of a match besides the missing overlap: per second of absence, and for tracks with few
# observations (over the square root of their count). Overlap of padded boxes alone counts little.
ABSENCE_COST, NEW_TRACK_COST, PADDED_IOU_WEIGHT = 0.1, 0.2, 0.1
LAST_BOX_WEIGHT = 0.8  # of the IoU with the track's last observed box
ACTION_WEIGHT = 0.4  # a similar action profile raises the match score: actions mostly continue
UNMATCHED_COST = 0.3  # of leaving a track and a box unmatched rather than matching them badly
Floats = NDArray[np.float64]
POSITION_VARIANCE = 0.05**2  # of a detection's coordinate, sides^2
SPEED_VARIANCE = 0.6**2  # of a new track, (sides / s)^2
SPEED_DIFFUSION = 0.8  # how fast the speed variance grows, sides^2 / s^3


@dataclass
class ActiveTracks:
    """Tracks that can still be matched."""

    number: Rows  # [a]
    motion: KalmanFilter
    last_time: Floats  # [a]  seconds of the last observation
    hits: Rows  # [a]  number of observations
    chain_end: Rows  # [a]  last frame of the chain last matched; -1: none
    profile: Floats  # [a, c]  unit-length action scores of the last observation

    def select(self, rows: NDArray[np.bool_] | Rows) -> ActiveTracks:
        return ActiveTracks(
            self.number[rows],
            self.motion.select(rows),
            self.last_time[rows],
            self.hits[rows],
            self.chain_end[rows],
            self.profile[rows],
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
    """Return the track [n] of each box of one video, numbered from 0 by first appearance.

    time [f]: seconds of the keyframes, ascending; box [n, 4] and action scores [n, c] >= 0;
    frame [n]: the keyframe of each box, ascending;
    chain [n]: boxes of one chain are one person regardless of overlap and gaps, and no other box
    joins that track while the chain lasts; -1: none.
    Ties between equal assignments depend on the order of the boxes within a frame.
    """
    track = np.full(len(box), -1, np.int32)
    chain_ends = _chain_ends(chain, frame)  # [n]
    track_of_chain: dict[int, int] = {}  # of each chain seen so far
    empty = np.zeros(0, np.intp)
    active = ActiveTracks(empty, KalmanFilter.start(box[:0]), np.zeros(0), empty, empty, score[:0])
    profile = _unit(score)
    count = 0
    for rows in rows_by_frame(frame):
        at = int(frame[rows[0]])
        now = float(time[at])
        expired = (now - active.last_time > max_gap) & (active.chain_end < at)
        active = active.select(~expired) if expired.any() else active
        old, new = _match(
            active, box[rows], profile[rows], chain[rows], track_of_chain, at, now, min_iou
        )
        active.motion.correct(old, now - active.last_time[old], box[rows[new]])
        active.last_time[old], active.chain_end[old] = now, chain_ends[rows[new]]
        active.profile[old] = profile[rows[new]]
        active.hits[old] += 1
        track[rows[new]] = active.number[old]
        unmatched = np.ones(len(rows), bool)
        unmatched[new] = False
        fresh = rows[unmatched]
        if len(fresh):
            numbers = np.arange(count, count + len(fresh))
            track[fresh], count = numbers, count + len(fresh)
            active = _add_tracks(
                active, numbers, box[fresh], profile[fresh], now, chain_ends[fresh]
            )
        chained = rows[chain[rows] >= 0]
        track_of_chain.update(zip(chain[chained].tolist(), track[chained].tolist(), strict=True))
    return track


def _unit(score: Floats) -> Floats:
    """Normalize scores [n, c] to unit length, so that dot products are cosines; 0 stays 0."""
    return np.asarray(score / np.maximum(np.linalg.norm(score, axis=1, keepdims=True), 1e-9))


def _chain_ends(chain: Rows, frame: Rows) -> Rows:
    """Return the last frame [n] of each row's chain, -1 for rows without a chain."""
    last = np.full(int(chain.max(initial=-1)) + 2, -1, np.intp)
    np.maximum.at(last, chain, frame)
    return np.where(chain >= 0, last[chain], -1)


def _add_tracks(
    active: ActiveTracks, number: Rows, box: Floats, profile: Floats, now: float, chain_end: Rows
) -> ActiveTracks:
    """Append new tracks to the active ones."""
    return ActiveTracks(
        np.concatenate([active.number, number]),
        active.motion.join(KalmanFilter.start(box)),
        np.concatenate([active.last_time, np.full(len(number), now)]),
        np.concatenate([active.hits, np.ones(len(number), np.intp)]),
        np.concatenate([active.chain_end, chain_end]),
        np.concatenate([active.profile, profile]),
    )


def _match(
    active: ActiveTracks,
    box: Floats,
    profile: Floats,
    chain: Rows,
    track_of_chain: dict[int, int],
    at: int,
    now: float,
    min_iou: float,
) -> tuple[Rows, Rows]:
    """Match tracks to boxes, (track row, box row): first chains with a track, then the rest."""
    if not track_of_chain:
        return assign(active, box, profile, now, min_iou)
    number = np.array([track_of_chain.get(c, -1) for c in chain.tolist()], np.intp)
    known = np.flatnonzero(number >= 0)
    if not len(known):
        free, left = np.flatnonzero(active.chain_end < at), np.arange(len(box))
    else:
        row_of_track = {int(n): i for i, n in enumerate(active.number.tolist())}
        taken = np.array([row_of_track[int(n)] for n in number[known].tolist()], np.intp)
        free = np.setdiff1d(np.flatnonzero(active.chain_end < at), taken)
        left = np.flatnonzero(number < 0)
    rows = active if len(free) == len(active.number) else active.select(free)
    old, new = assign(rows, box[left], profile[left], now, min_iou)
    if not len(known):
        return free[old], new
    return np.concatenate([taken, free[old]]), np.concatenate([known, left[new]])


def assign(
    active: ActiveTracks, box: Floats, profile: Floats, now: float, min_iou: float
) -> tuple[Rows, Rows]:
    """Return the (track row, box row) pairs of the minimum-cost assignment."""
    empty = np.zeros(0, np.intp)
    if not len(active.number) or not len(box):
        return empty, empty
    from scipy.optimize import linear_sum_assignment

    gap = now - active.last_time
    predicted, spread = active.motion.predict(gap)
    last = to_corners(active.motion.position)
    pad = np.minimum(spread, MAX_PADDING) * np.maximum(active.motion.position[:, 2:].max(1), 1e-6)
    both = np.concatenate([predicted, last])
    plain, padded = _larger(overlaps(both, box, np.concatenate([pad, pad])))
    uncertainty = ABSENCE_COST * gap + NEW_TRACK_COST / np.sqrt(active.hits)
    similarity = active.profile @ profile.T  # cosines [a, b]
    allowed = padded >= min_iou
    # An allowed match never costs more than no match, so distant people cannot break it.
    price = uncertainty[:, None] - plain - PADDED_IOU_WEIGHT * padded - ACTION_WEIGHT * similarity
    match = np.minimum(price, UNMATCHED_COST - 1e-3)
    cost = np.where(allowed, match, UNMATCHED_COST)
    old, new = linear_sum_assignment(cost)
    good = allowed[old, new]
    return old[good], new[good]


def _larger(pair: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Reduce IoUs [2 a, b] with predicted, then last boxes to the larger of each [a, b].

    The last box counts less: two people who cross between keyframes have swapped places.
    """
    plain, padded = pair
    half = len(plain) // 2
    near = np.maximum(plain[:half], LAST_BOX_WEIGHT * plain[half:])
    return near, np.maximum(padded[:half], padded[half:])


def overlaps(a: Floats, b: Floats, pad: Floats) -> tuple[Floats, Floats]:
    """Return IoU [a, b] of boxes a [a, 4] and b [b, 4]: plain, and padded by pad [a] per side."""
    low = np.maximum(a[:, None, :2], b[:, :2])
    common = np.minimum(a[:, None, 2:], b[:, 2:]) - low  # [a, b, 2], negative where disjoint
    wide, high = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    more = 2 * pad[:, None]
    plain = _iou(np.maximum(common, 0), wide[:, None], high[None])
    padded = _iou(
        np.maximum(common + more[..., None], 0), (wide + more)[:, None], high + more[..., None]
    )
    return plain, padded


def _iou(common: Floats, first: Floats, second: Floats) -> Floats:
    """Compute IoU from the sides [..., 2] of the intersection and both boxes; 0 if empty."""
    shared = common[..., 0] * common[..., 1]
    union = first[..., 0] * first[..., 1] + second[..., 0] * second[..., 1] - shared
    return np.asarray(shared / np.maximum(union, 1e-30))


@dataclass
class KalmanFilter:
    """Kalman filters of a tracks; `correct` updates them in place."""

    position: Floats  # [a, 4]  centre x y, width, height
    speed: Floats  # [a, 4]  per second
    cov: Floats  # [a, 3]  variance of position, covariance, variance of speed, in sides

    @classmethod
    def start(cls, box: Floats) -> KalmanFilter:
        """Start tracks at boxes [a, 4] x1 y1 x2 y2."""
        cov = np.tile([POSITION_VARIANCE, 0.0, SPEED_VARIANCE], (len(box), 1))
        return cls(to_centre(box), np.zeros_like(box), cov)

    def predict(self, seconds: Floats) -> tuple[Floats, Floats]:
        """Predict boxes [a, 4] after `seconds` [a] and their standard deviations [a], in sides."""
        p00, p01, p11 = self.cov.T
        t = seconds
        spread = p00 + 2 * t * p01 + t * t * p11 + SPEED_DIFFUSION * t**3 / 3
        return to_corners(self.position + self.speed * t[:, None]), np.sqrt(spread)

    def correct(self, rows: NDArray[np.intp], seconds: Floats, box: Floats) -> None:
        """Update tracks `rows` with boxes [k, 4] observed after `seconds` [k]."""
        p00, p01, p11 = self.cov[rows].T
        t = seconds
        p00 = p00 + 2 * t * p01 + t * t * p11 + SPEED_DIFFUSION * t**3 / 3
        p01 = p01 + t * p11 + SPEED_DIFFUSION * t**2 / 2
        p11 = p11 + SPEED_DIFFUSION * t
        total = p00 + POSITION_VARIANCE
        gain, speed_gain = p00 / total, p01 / total
        predicted = self.position[rows] + self.speed[rows] * t[:, None]
        error = to_centre(box) - predicted
        self.position[rows] = predicted + gain[:, None] * error
        self.speed[rows] += speed_gain[:, None] * error
        self.cov[rows] = np.stack([(1 - gain) * p00, (1 - gain) * p01, p11 - speed_gain * p01], 1)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> KalmanFilter:
        """Return the filters of a subset of the tracks."""
        return KalmanFilter(self.position[rows], self.speed[rows], self.cov[rows])

    def join(self, other: KalmanFilter) -> KalmanFilter:
        """Concatenate these tracks and the other's."""
        return KalmanFilter(
            np.concatenate([self.position, other.position]),
            np.concatenate([self.speed, other.speed]),
            np.concatenate([self.cov, other.cov]),
        )


def to_centre(box: Floats) -> Floats:
    """Convert x1 y1 x2 y2 [n, 4] to centre x y, width, height."""
    return np.concatenate([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], 1)


def to_corners(position: Floats) -> Floats:
    """Convert centre x y, width, height [n, 4] to x1 y1 x2 y2; negative sides become 0."""
    half = np.maximum(position[:, 2:], 0) / 2
    return np.concatenate([position[:, :2] - half, position[:, :2] + half], 1)
