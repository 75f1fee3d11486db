"""Boxes at any time, interpolated between the keyframe boxes of the same person."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.boxes import iou
from stadkit.detections import Detections, milliseconds

MIN_IOU = 0.2  # of one person in neighbouring keyframes; people move a lot in a second


@dataclass(frozen=True)
class VisiblePeople:
    """The people visible at one time."""

    box: NDArray[np.float32]  # [n, 4]  fractions, interpolated between keyframes
    row: NDArray[np.intp]  # [n]     the table row with the labels: that of the nearer keyframe
    person: NDArray[np.intp]  # [n]  a number per person, constant across keyframes


class InterpolatedPeople:
    """The table of one video, evaluated at any time.

    Rows of neighbouring keyframes are one person if both have the same track, or without tracks
    by the best one-to-one match by IoU (at least `MIN_IOU`). An unmatched person is shown up to
    half an interval from their keyframe.
    """

    def __init__(self, table: Detections, times: NDArray[np.float64] | None = None) -> None:
        """`times` [k]: the analysed keyframes, so that an empty one hides people; by default those
        with rows. Gaps of more than 1.5 times the median interval are not bridged."""
        self._table = table
        stamps = milliseconds(table.time)
        key_stamps = stamps if times is None else np.concatenate([stamps, milliseconds(times)])
        keys = np.unique(key_stamps)
        self._keys: list[float] = (keys / 1000).tolist()  # [k]  seconds
        order = np.argsort(stamps, kind="stable")
        self._rows = np.split(order, np.searchsorted(stamps[order], keys[1:]))  # k arrays [n_k]
        gaps = np.diff(self._keys)
        self._interval = float(np.median(gaps)) if len(gaps) else 1.0
        self._next = [self._link(k) for k in range(len(gaps))]
        self.person = self._follow()  # [n]  person number of each row

    def at(self, time: float) -> VisiblePeople:
        """The people and their boxes at a time in seconds."""
        right = bisect_right(self._keys, time + 5e-4)
        left = right - 1
        found: list[tuple[NDArray[np.float32], int]] = []
        if 0 <= left < len(self._next):
            found += self._interpolated(left, time)
        found += self._held(left, time) + self._held(right, time)
        found.sort(key=lambda pair: pair[1])
        rows = np.array([row for _, row in found], np.intp)
        box = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
        return VisiblePeople(box, rows, self.person[rows])

    def _link(self, k: int) -> dict[int, int]:
        """Rows of keyframe k -> their rows in keyframe k + 1."""
        if self._keys[k + 1] - self._keys[k] > 1.5 * self._interval:
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
                successor = self._next[k].get(row) if k < len(self._next) else None
                if successor is not None:
                    person[successor] = person[row]
        return person

    def _interpolated(self, left: int, time: float) -> list[tuple[NDArray[np.float32], int]]:
        start, end = self._keys[left], self._keys[left + 1]
        part = np.float32((time - start) / (end - start))
        box = self._table.box
        return [
            ((1 - part) * box[a] + part * box[b], a if part < 0.5 else b)
            for a, b in self._next[left].items()
        ]

    def _held(self, k: int, time: float) -> list[tuple[NDArray[np.float32], int]]:
        """Rows of keyframe k without a link towards `time`, held at their box."""
        if not 0 <= k < len(self._keys):
            return []
        after = time >= self._keys[k] - 5e-4
        linked: set[int] = set()
        if after and k < len(self._next):
            linked = set(self._next[k])
        elif not after and k > 0:
            linked = set(self._next[k - 1].values())
        if abs(time - self._keys[k]) > self._hold_time(k, after):
            return []
        return [(self._table.box[row], row) for row in self._rows[k].tolist() if row not in linked]

    def _hold_time(self, k: int, after: bool) -> float:
        """Half the interval on that side, at most half the median interval."""
        other = k + 1 if after else k - 1
        inside = 0 <= other < len(self._keys)
        gap = abs(self._keys[other] - self._keys[k]) if inside else self._interval
        return float(min(gap, self._interval)) / 2


def match(table: Detections, rows: NDArray[np.intp], others: NDArray[np.intp]) -> dict[int, int]:
    """Map rows to rows of the same people in `others`, one to one: by track, else by IoU."""
    from scipy.optimize import linear_sum_assignment

    overlap = iou(table.box[rows], table.box[others])  # [a, b]
    track, other_track = table.track[rows][:, None], table.track[others][None, :]
    known = (track >= 0) & (other_track >= 0)
    # 2 is above any IoU, 0 is never matched.
    overlap[known] = np.where((track == other_track)[known], 2.0, 0.0)
    pairs = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
    return {int(rows[a]): int(others[b]) for a, b in pairs if overlap[a, b] >= MIN_IOU}
