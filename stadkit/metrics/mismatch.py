"""Why two files do not meet: the likely reason, in words that say what to do about it.

Every function here gives an empty text where no reason that it knows explains the files. A guess
must explain half of what there is to explain: a wrong hint is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ENOUGH = 0.5  # share of the smaller side that a reason must explain
_RATES = (25, 30, 24, 50, 60, 29.97, 23.976, 15, 10)  # frames a second, the usual ones first
_AVA_START = 900  # seconds: where AVA's frame numbers start
_FEW = 10  # boxes: fewer prove nothing
_NEAR = 100  # milliseconds: two writings of one time


class Frames(NamedTuple):
    """Some frames, each once, in order of video and time."""

    video: NDArray[np.int64]  # [n] a number that stands for the same video on both sides
    ms: NDArray[np.int64]  # [n] whole milliseconds

    @property
    def key(self) -> NDArray[np.int64]:
        """One number [n] a frame, from 0 up, in the same order."""
        # 2 ** 38 ms are eight years: only what is no time at all is brought together here.
        return self.video * 2**40 + np.clip(self.ms, -(2**38), 2**38) + 2**39

    @classmethod
    def of(cls, key: NDArray[np.int64]) -> Frames:
        """The frames that have these keys, in that order."""
        return cls(key // 2**40, key % 2**40 - 2**39)

    def first(self, count: int) -> Frames:
        """The first of them."""
        return Frames(self.video[:count], self.ms[:count])

    def among(self, videos: NDArray[np.int64]) -> Frames:
        """The frames of these videos."""
        kept = np.isin(self.video, videos)
        return Frames(self.video[kept], self.ms[kept])


def why_videos(found: Sequence[str], truth: Sequence[str]) -> str:
    """Why no id of one side is an id of the other."""
    for words, plain in _PLAINER:
        if {plain(name) for name in found} & {plain(name) for name in truth}:
            return f"they are the same {words}; rename them in one of the two"
    for one in found[:200]:
        for other in truth[:2000]:
            if min(len(one), len(other)) > 2 and (one in other or other in one):
                return f"{one!r} and {other!r} are alike: take off what one has more"
    return ""


def _stem(name: str) -> str:
    return re.sub(r"\.[A-Za-z0-9]{2,4}(\.gz)?$", "", name)


def _base(name: str) -> str:
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1]


_PLAINER: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("without the blanks around them", str.strip),
    ("in one letter case", str.casefold),
    ("without file endings", _stem),
    ("without folders", _base),
    ("without folders and file endings", lambda name: _stem(_base(name))),
    ("without the zeros in front", lambda name: name.lstrip("0")),
)


def why_times(found: Frames, truth: Frames) -> tuple[str, float]:
    """Why few times of one side are times of the other, in videos that both have.

    The share of the frames that would meet is given too, 0 where no reason is known.
    """
    best, told = share(found, truth), ""
    enough = max(ENOUGH, 2 * best)
    for clock in _clocks():
        for side, one, other in (("found", found, truth), ("truth", truth, found)):
            reached = share(_at(one, clock.seconds(one.ms / 1000)), other)
            if reached >= enough and reached > best:
                best, told = reached, f"the times of {side} look like {clock.words}"
    if told:
        return told, best
    told = _near(found, truth) or _shifted(found, truth)
    return told, ENOUGH if told else 0.0


def share(found: Frames, truth: Frames) -> float:
    """Frames that both have, over those of the side that has fewer; 0 where one is empty."""
    fewer = min(len(found.ms), len(truth.ms))
    return len(np.intersect1d(found.key, truth.key)) / fewer if fewer else 0.0


class _Clock(NamedTuple):
    """Numbers n that stand for start + (n - first) / rate seconds."""

    words: str  # what they may be, and what to do
    rate: float
    first: int = 0
    start: int = 0

    def seconds(self, n: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.start + (n - self.first) / self.rate


def _clocks() -> Iterator[_Clock]:
    yield _Clock("milliseconds; divide them by 1000", 1000)
    for rate in _RATES:
        yield _Clock(f"frame numbers; divide them by {rate:g} a second", rate)
    for rate in _RATES:
        yield _Clock(f"frame numbers from 1; make them (n - 1) / {rate:g}", rate, first=1)
    for rate in _RATES:
        cure = f"make them {_AVA_START} + n / {rate:g}"
        yield _Clock(f"frame numbers from second {_AVA_START}; {cure}", rate, start=_AVA_START)


def _at(frames: Frames, seconds: NDArray[Any]) -> Frames:
    return Frames(frames.video, np.rint(seconds * 1000).astype(np.int64))


def _near(found: Frames, truth: Frames) -> str:
    """Times that miss each other by little, as rounding does."""
    few, many = (found, truth) if len(found.ms) <= len(truth.ms) else (truth, found)
    if not len(few.ms):
        return ""
    keys, at = many.key, np.searchsorted(many.key, few.key)
    before, after = keys[np.maximum(at - 1, 0)], keys[np.minimum(at, len(keys) - 1)]
    gap = int(np.median(np.minimum(abs(few.key - before), abs(few.key - after))))
    if not 0 < gap <= _NEAR:
        return ""
    return (
        f"they miss each other by about {gap / 1000:g} s, and times are the same to a "
        "millisecond; write the same times in both or, where the truth counts frames, give their "
        "own --rate"
    )


def _shifted(found: Frames, truth: Frames) -> str:
    """Times that differ by one number of seconds throughout."""
    gaps = [
        np.subtract.outer(truth.ms[truth.video == v][:300], found.ms[found.video == v][:300])
        for v in np.intersect1d(found.video, truth.video)[:20]
    ]
    values, counts = np.unique(np.concatenate([gap.ravel() for gap in gaps]), return_counts=True)
    # Of shifts that do as well, the smallest: times at one a second fit many.
    order = np.lexsort((abs(values), -counts))
    shift = int(values[order[0]]) / 1000
    reached = share(_at(found, found.ms / 1000 + shift), truth)
    # Times at one a second fit each other easily, so that more is asked for here.
    if not shift or reached < 0.8:
        return ""
    return f"the times of found fit when {abs(shift):g} s are {'added' if shift > 0 else 'taken'}"


def why_boxes(
    found: NDArray[np.float64], truth: NDArray[np.float64], near: Near
) -> tuple[str, bool]:
    """Why boxes [n, 4] and [m, 4] of the same frames lie apart, and whether that is sure.

    `near(found, truth)` is the share of truth's boxes that one of found overlaps by half.
    """
    for side, one, other in (("found", found, truth), ("truth", truth, found)):
        if len(one) and len(other) and _reach(one) > 2 >= _reach(other):
            parts = [n for n in (100, 1000) if near(*_ordered(side, one / n, other)) >= ENOUGH]
            cure = f"parts of {parts[0]} do; divide them by {parts[0]}" if parts else _PIXELS
            return f"the boxes of {side} reach {one.max():g}, as {cure}", True
    best, told = near(found, truth), ""
    enough = max(ENOUGH, 2 * best)
    if enough >= 1:
        return "", False
    for words, corners in _ORDERS:
        for side, one, other in (("found", found, truth), ("truth", truth, found)):
            reached = near(*_ordered(side, corners(one), other))
            if reached >= enough and reached > best:
                best = reached
                told = f"the boxes of {side} look like {words}; write x1, y1, x2, y2"
    return told, bool(told) and min(len(found), len(truth)) >= _FEW


_PIXELS = "pixels do; divide x by the width and y by the height of the frame"
Near = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


def _ordered(
    side: str, one: NDArray[np.float64], other: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (one, other) if side == "found" else (other, one)


def _reach(box: NDArray[np.float64]) -> float:
    """How far most boxes reach: 1 at most in fractions, more in pixels."""
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
    """Why boxes that lie on each other have other action ids: a row [n] a pair of them.

    `person` is the truth that a detection lies on; of its detections the best `score` counts.
    """
    order = np.lexsort((-score, person))
    first = np.ones(len(order), bool)
    first[1:] = person[order][1:] != person[order][:-1]
    found, truth = found[order[first]], truth[order[first]]
    if len(found) < _FEW:
        return ""
    same, more, less = (float((found + by == truth).mean()) for by in (0, 1, -1))
    if max(more, less) < max(ENOUGH / 2, 2 * same):
        return ""
    by = "+1" if more > less else "-1"
    return (
        f"where boxes overlap the action is right in {same:.0%}, and with {by} on the ids of "
        f"found in {max(more, less):.0%}; does one file count from 0?"
    )


_ORDERS: tuple[tuple[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]], ...] = (
    ("x, y, width, height", _from_corner),
    ("centre x, centre y, width, height", _from_centre),
    ("y1, x1, y2, x2", lambda box: box[:, [1, 0, 3, 2]]),
    ("x1, x2, y1, y2", lambda box: box[:, [0, 2, 1, 3]]),
)


def some(names: Sequence[str]) -> str:
    """Three of them, in quotes."""
    return listed([repr(name) for name in names])


def listed(words: Sequence[str]) -> str:
    """The first three, and whether there are more."""
    return ", ".join(words[:3]) + (", ..." if len(words) > 3 else "")


def because(why: str, otherwise: str) -> str:
    """The end of a sentence: the reason, or what is right."""
    return f"; {why or otherwise}"
