"""Guess why two files do not match, and describe the fix.

Every function returns an empty string when no known reason fits. A guess must explain at least
half of the rows: a wrong hint is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ENOUGH = 0.5  # share of the smaller side that a reason must explain
_RATES = (25, 30, 24, 50, 60, 29.97, 23.976, 15, 10)  # frames a second, common ones first
_AVA_START = 900  # seconds: where AVA's frame numbers start
_MIN_BOXES = 10  # fewer prove nothing
_MAX_ROUNDING_MS = 100  # larger differences are not rounding


class FrameTimes(NamedTuple):
    """Unique frames, sorted by video and time."""

    video: NDArray[np.int64]  # [n] video number, common to both sides
    ms: NDArray[np.int64]  # [n] integer milliseconds

    @property
    def key(self) -> NDArray[np.int64]:
        """Encode each frame as one number [n] >= 0, preserving order."""
        # 2 ** 38 ms are eight years: clipping only affects nonsense times.
        return self.video * 2**40 + np.clip(self.ms, -(2**38), 2**38) + 2**39

    @classmethod
    def of(cls, key: NDArray[np.int64]) -> FrameTimes:
        """Decode keys to frames, in that order."""
        return cls(key // 2**40, key % 2**40 - 2**39)

    def first(self, count: int) -> FrameTimes:
        """Return the first `count` frames."""
        return FrameTimes(self.video[:count], self.ms[:count])

    def among(self, videos: NDArray[np.int64]) -> FrameTimes:
        """Return the frames of these videos."""
        kept = np.isin(self.video, videos)
        return FrameTimes(self.video[kept], self.ms[kept])


def why_videos(found: Sequence[str], truth: Sequence[str]) -> str:
    """Guess why the two sides share no video id."""
    for words, normalize in _NORMALIZATIONS:
        if {normalize(name) for name in found} & {normalize(name) for name in truth}:
            return f"they match {words}; rename them in one of the two"
    for one in found[:200]:
        for other in truth[:2000]:
            if min(len(one), len(other)) > 2 and (one in other or other in one):
                return f"{one!r} and {other!r} differ by a prefix or suffix; remove it"
    return ""


def _stem(name: str) -> str:
    return re.sub(r"\.[A-Za-z0-9]{2,4}(\.gz)?$", "", name)


def _base(name: str) -> str:
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1]


_NORMALIZATIONS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("without surrounding whitespace", str.strip),
    ("ignoring case", str.casefold),
    ("without file extensions", _stem),
    ("without folders", _base),
    ("without folders and file extensions", lambda name: _stem(_base(name))),
    ("without leading zeros", lambda name: name.lstrip("0")),
)


def why_times(found: FrameTimes, truth: FrameTimes) -> tuple[str, float]:
    """Guess why few times match, in the videos that both sides have.

    Also returns the share of frames that would match after the fix; 0 without a reason.
    """
    best, reason = share(found, truth), ""
    enough = max(ENOUGH, 2 * best)
    for clock in _clocks():
        for side, one, other in (("found", found, truth), ("truth", truth, found)):
            reached = share(_at(one, clock.seconds(one.ms / 1000)), other)
            if reached >= enough and reached > best:
                best, reason = reached, f"the times of {side} look like {clock.words}"
    if reason:
        return reason, best
    reason = _near(found, truth) or _shifted(found, truth)
    return reason, ENOUGH if reason else 0.0


def share(found: FrameTimes, truth: FrameTimes) -> float:
    """Return the shared frames over those of the smaller side; 0 where one is empty."""
    fewer = min(len(found.ms), len(truth.ms))
    return len(np.intersect1d(found.key, truth.key)) / fewer if fewer else 0.0


class _Clock(NamedTuple):
    """A time encoding: number n means start + (n - first) / rate seconds."""

    words: str  # the encoding, and the fix
    rate: float
    first: int = 0
    start: int = 0

    def seconds(self, n: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.start + (n - self.first) / self.rate


def _clocks() -> Iterator[_Clock]:
    yield _Clock("milliseconds; divide them by 1000", 1000)
    for rate in _RATES:
        yield _Clock(f"frame numbers; divide them by {rate:g} frames a second", rate)
    for rate in _RATES:
        yield _Clock(f"frame numbers from 1; convert them by (n - 1) / {rate:g}", rate, first=1)
    for rate in _RATES:
        fix = f"convert them by {_AVA_START} + n / {rate:g}"
        yield _Clock(f"frame numbers from second {_AVA_START}; {fix}", rate, start=_AVA_START)


def _at(frames: FrameTimes, seconds: NDArray[Any]) -> FrameTimes:
    return FrameTimes(frames.video, np.rint(seconds * 1000).astype(np.int64))


def _near(found: FrameTimes, truth: FrameTimes) -> str:
    """Detect times that differ slightly, as by rounding."""
    few, many = (found, truth) if len(found.ms) <= len(truth.ms) else (truth, found)
    if not len(few.ms):
        return ""
    keys, at = many.key, np.searchsorted(many.key, few.key)
    before, after = keys[np.maximum(at - 1, 0)], keys[np.minimum(at, len(keys) - 1)]
    gap = int(np.median(np.minimum(abs(few.key - before), abs(few.key - after))))
    if not 0 < gap <= _MAX_ROUNDING_MS:
        return ""
    return (
        f"they differ by about {gap / 1000:g} s, and must agree to a millisecond; write the same "
        "times in both files or, if truth has frame numbers, pass its frame rate by --rate"
    )


def _shifted(found: FrameTimes, truth: FrameTimes) -> str:
    """Detect times that differ by a constant offset."""
    gaps = [
        np.subtract.outer(truth.ms[truth.video == v][:300], found.ms[found.video == v][:300])
        for v in np.intersect1d(found.video, truth.video)[:20]
    ]
    values, counts = np.unique(np.concatenate([gap.ravel() for gap in gaps]), return_counts=True)
    # Of equally good shifts, take the smallest: times at 1 Hz fit many.
    order = np.lexsort((abs(values), -counts))
    shift = int(values[order[0]]) / 1000
    reached = share(_at(found, found.ms / 1000 + shift), truth)
    # Times at 1 Hz match easily by chance, so the threshold is stricter here.
    if not shift or reached < 0.8:
        return ""
    fix = "added to" if shift > 0 else "subtracted from"
    return f"the times match when {abs(shift):g} s is {fix} the times of found"


def why_boxes(
    found: NDArray[np.float64], truth: NDArray[np.float64], near: Near
) -> tuple[str, bool]:
    """Guess why boxes [n, 4] and [m, 4] of the same frames do not overlap; and if that is certain.

    `near(found, truth)` is the share of truth boxes that a found box overlaps by half.
    """
    for side, one, other in (("found", found, truth), ("truth", truth, found)):
        if len(one) and len(other) and _reach(one) > 2 >= _reach(other):
            parts = [n for n in (100, 1000) if near(*_ordered(side, one / n, other)) >= ENOUGH]
            unit = f"1/{parts[0]} parts; divide them by {parts[0]}" if parts else _PIXELS
            return f"the boxes of {side} reach {one.max():g} and look like {unit}", True
    best, reason = near(found, truth), ""
    enough = max(ENOUGH, 2 * best)
    if enough >= 1:
        return "", False
    for words, corners in _ORDERS:
        for side, one, other in (("found", found, truth), ("truth", truth, found)):
            reached = near(*_ordered(side, corners(one), other))
            if reached >= enough and reached > best:
                best = reached
                reason = f"the boxes of {side} look like {words}; write x1, y1, x2, y2"
    return reason, bool(reason) and min(len(found), len(truth)) >= _MIN_BOXES


_PIXELS = "pixels; divide x by the frame width and y by the frame height"
Near = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


def _ordered(
    side: str, one: NDArray[np.float64], other: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (one, other) if side == "found" else (other, one)


def _reach(box: NDArray[np.float64]) -> float:
    """Return the median maximum coordinate: at most 1 in fractions, more in pixels."""
    return float(np.median(box.max(1)))


def _from_corner(box: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1)


def _from_centre(box: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2], 1)


def why_labels(
    found: NDArray[np.int64],
    truth: NDArray[np.int64],
    score: NDArray[np.float64],
    person: NDArray[np.integer[Any]],
) -> str:
    """Guess why overlapping boxes have different action ids; one row [n] per pair of boxes.

    `person` is the truth that a detection overlaps; its detection of the best `score` counts.
    """
    order = np.lexsort((-score, person))
    first = np.ones(len(order), bool)
    first[1:] = person[order][1:] != person[order][:-1]
    found, truth = found[order[first]], truth[order[first]]
    if len(found) < _MIN_BOXES:
        return ""
    same, more, less = (float((found + by == truth).mean()) for by in (0, 1, -1))
    if max(more, less) < max(ENOUGH / 2, 2 * same):
        return ""
    by = "+1" if more > less else "-1"
    return (
        f"where boxes overlap, the action is right in {same:.0%}, but in {max(more, less):.0%} "
        f"with {by} on the ids of found; check whether one file counts from 0"
    )


_ORDERS: tuple[tuple[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]], ...] = (
    ("x, y, width, height", _from_corner),
    ("centre x, centre y, width, height", _from_centre),
    ("y1, x1, y2, x2", lambda box: box[:, [1, 0, 3, 2]]),
    ("x1, x2, y1, y2", lambda box: box[:, [0, 2, 1, 3]]),
)


def some(names: Sequence[str]) -> str:
    """List the first three names, quoted."""
    return listed([repr(name) for name in names])


def listed(words: Sequence[str]) -> str:
    """List the first three words, with an ellipsis if there are more."""
    return ", ".join(words[:3]) + (", ..." if len(words) > 3 else "")


def because(why: str, otherwise: str) -> str:
    """Return a clause with the reason, or else the general rule."""
    return f"; {why or otherwise}"
