"""People of linked detections at every moment: by their tracks, doing what their tubes say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, milliseconds
from stadkit.tubes import Tubes
from stadkit.video.draw import Edge, short

NEAR = 0.5  # ms: times this near are the same
NEXT, BRIDGED = 1.5, 3.5  # keyframe intervals: neighbours; and with two keyframes missed between


@dataclass(frozen=True)
class Scene:
    """The people visible at one moment."""

    box: NDArray[np.float32]  # [n, 4]
    track: list[int]  # [n]
    edge: list[Edge]  # [n]  "seen" at a keyframe, "moved" between two, "guessed" past a missed one
    lines: list[list[str]]  # [n]  who, then what they do, best first


@dataclass(frozen=True)
class _Knots:
    """Where one track is known to be: detections, and boxes that linking put in between."""

    ms: NDArray[np.float64]  # [k]  growing
    box: NDArray[np.float32]  # [k, 4]
    seen: NDArray[np.bool_]  # [k]  a detection

    def at(self, ms: float, usual: float) -> tuple[NDArray[np.float32], Edge] | None:
        """The box at a time, or None where the track is away."""
        right = int(np.searchsorted(self.ms, ms + NEAR, "right"))
        left = right - 1
        if left >= 0 and ms - self.ms[left] <= NEAR:
            return self.box[left], "seen" if self.seen[left] else "guessed"
        if 0 < right < len(self.ms):
            gap = self.ms[right] - self.ms[left]
            if gap <= BRIDGED * usual:
                part = np.float32((ms - self.ms[left]) / gap)
                near = gap <= NEXT * usual and self.seen[left] and self.seen[right]
                box = (1 - part) * self.box[left] + part * self.box[right]
                return box, "moved" if near else "guessed"
        for i in (left, right):
            if 0 <= i < len(self.ms) and abs(ms - self.ms[i]) <= usual / 2:
                return self.box[i], "moved"
        return None


@dataclass(frozen=True)
class _Deed:
    """A tube of a track: its name from first to last keyframe and half an interval around."""

    name: str
    ms: NDArray[np.float64]  # [k]
    score: NDArray[np.float64]  # [k]

    def at(self, ms: float, usual: float) -> float | None:
        """The score of the nearest keyframe, None where the tube is not."""
        if not self.ms[0] - usual / 2 <= ms <= self.ms[-1] + usual / 2:
            return None
        right = int(np.searchsorted(self.ms, ms).clip(1, max(len(self.ms) - 1, 1)))
        past = right < len(self.ms) and self.ms[right] - ms < ms - self.ms[right - 1]
        return float(self.score[right if past else right - 1])


class Follow:
    """The linked table of one video and its tubes, asked for any moment.

    Between neighbouring keyframes boxes move on straight lines, past missed ones too where a
    tube goes on or no more than two were missed. At either end a person stays half an interval.
    """

    def __init__(
        self,
        table: Detections,
        tubes: Tubes,
        times: NDArray[np.float64],
        min_score: float = 0.0,
        most: int = 5,
    ) -> None:
        """`times` [k]: keyframes looked at. Labels: `most` a person, of the tubes whose best
        score is `min_score` or more."""
        self._most = most
        keys = np.unique(np.concatenate([milliseconds(times), milliseconds(table.time)]))
        self._usual = float(np.median(np.diff(keys))) if len(keys) > 1 else 1000.0
        self._knots = _knots(table, tubes)
        # By the number of an interval, what may be visible then: hours have many of both.
        self._alive: dict[int, list[int]] = {}
        for track, knots in self._knots.items():
            for number in self._around(knots.ms):
                self._alive.setdefault(number, []).append(track)
        self._doing: dict[tuple[int, int], list[_Deed]] = {}
        for track, deed in _deeds(tubes, min_score):
            for number in self._around(deed.ms):
                self._doing.setdefault((track, number), []).append(deed)

    def at(self, time: float) -> Scene:
        """Who is where at a time in seconds, and what they do."""
        ms, found = time * 1000, []
        for track in self._alive.get(self._number(ms), []):
            place = self._knots[track].at(ms, self._usual)
            if place is not None:
                found.append((track, *place, self._lines(track, ms)))
        box = np.array([one[1] for one in found], np.float32).reshape(-1, 4)
        return Scene(box, [one[0] for one in found], [o[2] for o in found], [o[3] for o in found])

    def _number(self, ms: float) -> int:
        return int(ms // self._usual)

    def _around(self, ms: NDArray[np.float64]) -> range:
        """The intervals from the one before the first time to the one after the last."""
        return range(self._number(ms[0]) - 1, self._number(ms[-1]) + 2)

    def _lines(self, track: int, ms: float) -> list[str]:
        near = self._doing.get((track, self._number(ms)), [])
        deeds = [(deed.at(ms, self._usual), deed.name) for deed in near]
        done = sorted(((s, name) for s, name in deeds if s is not None), key=lambda d: (-d[0], d))
        return [f"#{track}", *(f"{short(name)} {score:.2f}" for score, name in done[: self._most])]


def _knots(table: Detections, tubes: Tubes) -> dict[int, _Knots]:
    """By track: its detections, and its tubes' boxes at the keyframes that had none."""
    # The surest first, where two rows of one frame are one person.
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
        int(number): _Knots(ms[part].astype(np.float64), box[part], order[part] < len(rows))
        for number, part in zip(numbers, np.split(kept, starts[1:]), strict=False)
    }


def _deeds(tubes: Tubes, min_score: float) -> Iterator[tuple[int, _Deed]]:
    """(track, what is done on it) of the tubes that are good enough."""
    for i in range(len(tubes)):
        part = slice(tubes.start[i], tubes.start[i + 1])
        if tubes.box_score[part].max() < min_score:
            continue
        name = tubes.classes[tubes.label[i]]
        deed = _Deed(name, tubes.time[part] * 1000, tubes.box_score[part])
        yield int(tubes.track[i]), deed
