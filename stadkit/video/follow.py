"""People at any time of a video, from their keyframes: boxes interpolated, labels held.

Detections are matched from keyframe to keyframe; linked people follow their tracks and tubes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.boxes import iou
from stadkit.detections import Detections, milliseconds
from stadkit.tubes import Tubes
from stadkit.video.draw import Edge, short

MIN_IOU = 0.2  # of one person in neighbouring keyframes; people move a lot in a second
SAME_TIME = 0.5  # ms: times closer than this are equal
# Keyframe intervals: between neighbours, and across two missed keyframes.
MAX_ADJACENT, MAX_BRIDGED = 1.5, 3.5


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


@dataclass(frozen=True)
class LinkedPeople:
    """The people visible at one time."""

    box: NDArray[np.float32]  # [n, 4]
    track: list[int]  # [n]
    edge: list[Edge]  # [n]  "seen" at a keyframe, "moved" between two, "guessed" past a missed one
    lines: list[list[str]]  # [n]  track, then actions, best first


@dataclass(frozen=True)
class _TrackBoxes:
    """The known boxes of one track: detections, and boxes interpolated by linking."""

    ms: NDArray[np.float64]  # [k]  ascending
    box: NDArray[np.float32]  # [k, 4]
    seen: NDArray[np.bool_]  # [k]  whether detected

    def at(self, ms: float, interval: float) -> tuple[NDArray[np.float32], Edge] | None:
        """The box at a time, or None if the track is absent."""
        right = int(np.searchsorted(self.ms, ms + SAME_TIME, "right"))
        left = right - 1
        if left >= 0 and ms - self.ms[left] <= SAME_TIME:
            return self.box[left], "seen" if self.seen[left] else "guessed"
        if 0 < right < len(self.ms):
            gap = self.ms[right] - self.ms[left]
            if gap <= MAX_BRIDGED * interval:
                part = np.float32((ms - self.ms[left]) / gap)
                adjacent = gap <= MAX_ADJACENT * interval and self.seen[left] and self.seen[right]
                box = (1 - part) * self.box[left] + part * self.box[right]
                return box, "moved" if adjacent else "guessed"
        for i in (left, right):
            if 0 <= i < len(self.ms) and abs(ms - self.ms[i]) <= interval / 2:
                return self.box[i], "moved"
        return None


@dataclass(frozen=True)
class _Action:
    """A tube of a track: a label from first to last keyframe, plus half an interval each side."""

    name: str
    ms: NDArray[np.float64]  # [k]
    score: NDArray[np.float64]  # [k]

    def at(self, ms: float, interval: float) -> float | None:
        """The score of the nearest keyframe, or None outside the tube."""
        if not self.ms[0] - interval / 2 <= ms <= self.ms[-1] + interval / 2:
            return None
        right = int(np.searchsorted(self.ms, ms).clip(1, max(len(self.ms) - 1, 1)))
        past = right < len(self.ms) and self.ms[right] - ms < ms - self.ms[right - 1]
        return float(self.score[right if past else right - 1])


class Follow:
    """The linked table of one video and its tubes, evaluated at any time.

    Boxes are interpolated linearly between neighbouring keyframes, and past missed ones if a tube
    continues or at most two were missed. At either end a person stays for half an interval.
    """

    def __init__(
        self,
        table: Detections,
        tubes: Tubes,
        times: NDArray[np.float64],
        min_score: float = 0.0,
        most: int = 5,
    ) -> None:
        """`times` [k]: analysed keyframes. Labels: at most `most` per person, of the tubes whose
        best score is at least `min_score`."""
        self._most = most
        keys = np.unique(np.concatenate([milliseconds(times), milliseconds(table.time)]))
        self._interval = float(np.median(np.diff(keys))) if len(keys) > 1 else 1000.0
        self._track_boxes = _track_boxes(table, tubes)
        # Tracks and tubes that may be visible, by interval number: long videos have many of both.
        self._tracks: dict[int, list[int]] = {}
        for track, boxes in self._track_boxes.items():
            for number in self._intervals(boxes.ms):
                self._tracks.setdefault(number, []).append(track)
        self._actions: dict[tuple[int, int], list[_Action]] = {}
        for track, action in _actions_of(tubes, min_score):
            for number in self._intervals(action.ms):
                self._actions.setdefault((track, number), []).append(action)

    def at(self, time: float) -> LinkedPeople:
        """The people at a time in seconds, with boxes and labels."""
        ms, found = time * 1000, []
        for track in self._tracks.get(self._number(ms), []):
            place = self._track_boxes[track].at(ms, self._interval)
            if place is not None:
                found.append((track, *place, self._lines(track, ms)))
        box = np.array([p[1] for p in found], np.float32).reshape(-1, 4)
        return LinkedPeople(
            box, [p[0] for p in found], [p[2] for p in found], [p[3] for p in found]
        )

    def _number(self, ms: float) -> int:
        return int(ms // self._interval)

    def _intervals(self, ms: NDArray[np.float64]) -> range:
        """Interval numbers from one before the first time to one after the last."""
        return range(self._number(ms[0]) - 1, self._number(ms[-1]) + 2)

    def _lines(self, track: int, ms: float) -> list[str]:
        nearby = self._actions.get((track, self._number(ms)), [])
        scores = [(action.at(ms, self._interval), action.name) for action in nearby]
        best = sorted(((s, name) for s, name in scores if s is not None), key=lambda d: (-d[0], d))
        return [f"#{track}", *(f"{short(name)} {score:.2f}" for score, name in best[: self._most])]


def _track_boxes(table: Detections, tubes: Tubes) -> dict[int, _TrackBoxes]:
    """For each track, its detections, and its tubes' boxes at keyframes without one."""
    # Highest score first, as two rows of a frame may be one person.
    rows = np.argsort(-np.nan_to_num(table.person, nan=0.0), kind="stable")
    filled = np.flatnonzero(tubes.interpolated)
    track = np.concatenate([table.track[rows], tubes.track[tubes.owner[filled]]])
    ms = np.concatenate([milliseconds(table.time[rows]), milliseconds(tubes.time[filled])])
    box = np.concatenate([table.box[rows], tubes.box[filled].astype(np.float32)])
    order = np.lexsort((np.arange(len(track)), ms, track))
    track, ms, box = track[order], ms[order], box[order]
    first = np.ones(len(track), bool)
    first[1:] = (np.diff(track) != 0) | (np.diff(ms) != 0)
    kept = np.flatnonzero(first & (track >= 0))
    numbers, starts = np.unique(track[kept], return_index=True)
    return {
        int(number): _TrackBoxes(ms[part].astype(np.float64), box[part], order[part] < len(rows))
        for number, part in zip(numbers, np.split(kept, starts[1:]), strict=False)
    }


def _actions_of(tubes: Tubes, min_score: float) -> Iterator[tuple[int, _Action]]:
    """(track, action) of the tubes that score at least `min_score`."""
    for i in range(len(tubes)):
        part = slice(tubes.start[i], tubes.start[i + 1])
        if tubes.box_score[part].max() < min_score:
            continue
        name = tubes.classes[tubes.label[i]]
        action = _Action(name, tubes.time[part] * 1000, tubes.box_score[part])
        yield int(tubes.track[i]), action
