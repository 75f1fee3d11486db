"""Boxes at every moment, from boxes at keyframes: people followed and moved in between."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.boxes import iou
from stadkit.detections import Detections, milliseconds

MIN_IOU = 0.2  # of one person in neighbouring keyframes; people move a good deal in a second


@dataclass(frozen=True)
class Shown:
    """The people visible at one moment."""

    box: NDArray[np.float32]  # [n, 4]  fractions, between those of the keyframes
    row: NDArray[np.intp]  # [n]     the table's row whose labels hold: that of the nearer keyframe
    person: NDArray[np.intp]  # [n]  the same number along one person's keyframes


class InterpolatedPeople:
    """The table of one video, asked for any moment.

    Rows of neighbouring keyframes are one person where both have a track and it is the same,
    and otherwise by the best one-to-one match by IoU (at least `MIN_IOU`). A person without a
    counterpart is shown up to half the interval from their keyframe.
    """

    def __init__(self, table: Detections, times: NDArray[np.float64] | None = None) -> None:
        """`times` [k]: the keyframes looked at, so that an empty one hides people; by default
        those with rows, where a gap of more than 1.5 usual intervals is not bridged."""
        self._table = table
        stamps = milliseconds(table.time)
        looked = stamps if times is None else np.concatenate([stamps, milliseconds(times)])
        keys = np.unique(looked)
        self._keys: list[float] = (keys / 1000).tolist()  # [k]  seconds
        order = np.argsort(stamps, kind="stable")
        self._rows = np.split(order, np.searchsorted(stamps[order], keys[1:]))  # k of [n_k]
        gaps = np.diff(self._keys)
        self._usual = float(np.median(gaps)) if len(gaps) else 1.0
        self._next = [self._link(k) for k in range(len(gaps))]
        self.person = self._follow()  # [n]  a number for each row's person

    def at(self, time: float) -> Shown:
        """Who is where at a time in seconds."""
        right = bisect_right(self._keys, time + 5e-4)
        left = right - 1
        found: list[tuple[NDArray[np.float32], int]] = []
        if 0 <= left < len(self._next):
            found += self._moving(left, time)
        found += self._resting(left, time) + self._resting(right, time)
        found.sort(key=lambda pair: pair[1])
        rows = np.array([row for _, row in found], np.intp)
        box = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
        return Shown(box, rows, self.person[rows])

    def _link(self, k: int) -> dict[int, int]:
        """Rows of keyframe k -> their rows in keyframe k + 1."""
        if self._keys[k + 1] - self._keys[k] > 1.5 * self._usual:
            return {}
        return match(self._table, self._rows[k], self._rows[k + 1])

    def _follow(self) -> NDArray[np.intp]:
        person = np.full(len(self._table), -1, np.intp)
        known: dict[int, int] = {}  # track -> person
        count = 0
        for k, rows in enumerate(self._rows):
            for row in rows.tolist():
                if person[row] < 0:
                    track = int(self._table.track[row])
                    person[row] = known.get(track, count)
                    count += person[row] == count
                    if track >= 0:
                        known[track] = int(person[row])
                follower = self._next[k].get(row) if k < len(self._next) else None
                if follower is not None:
                    person[follower] = person[row]
        return person

    def _moving(self, left: int, time: float) -> list[tuple[NDArray[np.float32], int]]:
        start, end = self._keys[left], self._keys[left + 1]
        part = np.float32((time - start) / (end - start))
        box = self._table.box
        return [
            ((1 - part) * box[a] + part * box[b], a if part < 0.5 else b)
            for a, b in self._next[left].items()
        ]

    def _resting(self, k: int, time: float) -> list[tuple[NDArray[np.float32], int]]:
        """Rows of keyframe k that no link leads from towards `time`."""
        if not 0 <= k < len(self._keys):
            return []
        after = time >= self._keys[k] - 5e-4
        linked: set[int] = set()
        if after and k < len(self._next):
            linked = set(self._next[k])
        elif not after and k > 0:
            linked = set(self._next[k - 1].values())
        if abs(time - self._keys[k]) > self._reach(k, after):
            return []
        return [(self._table.box[row], row) for row in self._rows[k].tolist() if row not in linked]

    def _reach(self, k: int, after: bool) -> float:
        """Half the interval on that side, no more than half the usual one."""
        other = k + 1 if after else k - 1
        inside = 0 <= other < len(self._keys)
        gap = abs(self._keys[other] - self._keys[k]) if inside else self._usual
        return float(min(gap, self._usual)) / 2


def match(table: Detections, rows: NDArray[np.intp], others: NDArray[np.intp]) -> dict[int, int]:
    """Rows -> the other rows that are the same people: by track, else by IoU, one to one."""
    from scipy.optimize import linear_sum_assignment

    overlap = iou(table.box[rows], table.box[others])  # [a, b]
    mine, theirs = table.track[rows][:, None], table.track[others][None, :]
    known = (mine >= 0) & (theirs >= 0)
    overlap[known] = np.where((mine == theirs)[known], 2.0, 0.0)  # above any IoU; never
    pairs = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
    return {int(rows[a]): int(others[b]) for a, b in pairs if overlap[a, b] >= MIN_IOU}
