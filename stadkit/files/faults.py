"""What is wrong in a file of boxes, counted by kind, whatever the file's format is.

Rows that say again what a row before them said: a file or a line that is there twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stadkit.errors import AnnotationError
from stadkit.instances import Instances

Rows = NDArray[np.bool_]  # a mask [n] of a file's rows
Floats = NDArray[np.float64]
Place = int | str
SOME = 3  # places, ids and examples that a fault names
_LARGEST_FRACTION = 2  # what reaches further is in pixels
_INVERTED, _INSIDE = 0.05, 0.99  # shares of rows, from which boxes look like x, y, w, h
_WORDS = {
    "unknown label": "an action id that the labels lack: counted for people only",
    "unknown name": "an action that truth's list lacks: counted for people only",
    "repeated": "the video, time, box and action of a row before: each counts, mostly as wrong",
    "pixels": "a box that reaches beyond 2, as pixels do: fractions of the frame are wanted",
    "xywh": "x2 < x1 or y2 < y1: these boxes look like x, y, width, height; passed over",
    "inverted": "a box with x2 < x1 or y2 < y1: passed over",
    "no area": "a box without area: most protocols pass over it",
    "not finite": "a box or score that is NaN or infinite: passed over",
    "score outside 0..1": "a score outside 0..1: kept, as only the order counts",
}
TRUE_BOX = {
    "not finite": "a side is NaN or infinite; mend the box or remove the row",
    "xywh": "x2 < x1 or y2 < y1: are these x, y, width, height? write x1, y1, x2, y2",
    "inverted": "x2 < x1 or y2 < y1; a box is x1, y1, x2, y2: swap its corners",
}
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads what it multiplies


@dataclass(frozen=True)
class Faults:
    """What was wrong in a file and was passed over, or counted as it stands."""

    path: Path
    kinds: dict[str, tuple[int, tuple[Place, ...]]]  # how many, and where the first are
    unknown: tuple[int, ...] = ()  # the first action ids that the labels lack
    thing: str = "line"  # what places are: lines from 1, rows from 0, tubes by name
    examples: dict[str, tuple[str, ...]] | None = None  # of kinds that have no place

    def lines(self) -> list[str]:
        """A sentence a kind."""
        return [self._line(kind, *where) for kind, where in self.kinds.items()]

    def with_kind(self, kind: str, count: int, examples: Sequence[str]) -> Faults:
        """The same with one more kind, of which these examples are known; none: the same."""
        if not count:
            return self
        return replace(
            self,
            kinds=self.kinds | {kind: (count, ())},
            examples=(self.examples or {}) | {kind: tuple(examples)},
        )

    def _line(self, kind: str, count: int, places: tuple[Place, ...]) -> str:
        noun = "row" if self.thing == "line" else self.thing
        have = f"{noun} has" if count == 1 else f"{noun}s have"
        what, _, done = _WORDS[kind].partition(":")
        examples = (self.examples or {}).get(kind) or tuple(map(str, self._unknown(kind)))
        if examples:
            what += f", such as {', '.join(examples)}"
        if places:
            what += f" ({self._where(places)}{', ...' if count > len(places) else ''})"
        return f"{count:,} {have} {what}:{done}"

    def _where(self, places: tuple[Place, ...]) -> str:
        if isinstance(places[0], str):
            return "; ".join(map(str, places))
        return f"{self.thing}{'s' * (len(places) > 1)} {', '.join(map(str, places))}"

    def _unknown(self, kind: str) -> tuple[int, ...]:
        return self.unknown if kind == "unknown label" else ()


def faults_of(
    path: Path, wrong: dict[str, Rows], truth: bool, thing: str, place: Callable[[int], Place]
) -> Faults:
    """The faults of rows that have no lines; `place` says where row i is.

    Raises AnnotationError for a true box that is none.
    """
    kinds: dict[str, tuple[int, tuple[Place, ...]]] = {}
    for kind, mask in wrong.items():
        at = np.flatnonzero(mask).tolist()
        if at and not (truth and kind == "no area"):  # that counts as any other
            kinds[kind] = len(at), tuple(place(row) for row in at[:SOME])
    for kind, reason in TRUE_BOX.items() if truth else ():
        if kind in kinds:
            count, places = kinds[kind]
            more = f" ({count:,} {thing}s)" if count > 1 else ""
            where = places[0] if isinstance(places[0], str) else f"{thing} {places[0]}"
            raise AnnotationError(f"{path}: {where}: {reason}{more}")
    return Faults(path, kinds, thing=thing)


def wrong_boxes(sides: Sequence[Floats], score: Floats | None) -> dict[str, Rows]:
    """The rows of each kind of fault; sides are x1, y1, x2, y2, each [n]."""
    x1, y1, x2, y2 = sides
    columns = [*sides] if score is None else [*sides, score]
    finite = functools.reduce(np.logical_and, [np.isfinite(column) for column in columns])
    inverted = finite & ((x1 > x2) | (y1 > y2))
    far = functools.reduce(np.logical_or, [side > _LARGEST_FRACTION for side in sides])
    wrong = {
        "pixels": finite & far,
        "xywh" if inverted.any() and _are_sizes(sides, inverted) else "inverted": inverted,
        "no area": finite & ((x1 == x2) | (y1 == y2)) & ~inverted,
        "not finite": ~finite,
    }
    if score is not None:
        wrong["score outside 0..1"] = finite & ((score < 0) | (score > 1))
    return wrong


def _are_sizes(sides: Sequence[Floats], inverted: Rows) -> bool:
    """Whether x2, y2 are rather a width and a height: x + width stays inside the frame."""
    x1, y1, x2, y2 = sides
    inside = (x1 + x2 < 1.01) & (y1 + y2 < 1.01)
    return bool(inverted.mean() >= _INVERTED and inside.mean() >= _INSIDE)


def repeated(claims: Instances) -> NDArray[np.intp]:
    """The rows [k] whose video, time, box and action a row before them has, the score aside.

    Rows without a class are not looked at: they may stand for several actions.
    """
    rows = np.flatnonzero(claims.label >= 0)
    key = _key(claims, rows)
    ordered = np.sort(key)  # much faster than the order of the rows, which is mostly not needed
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return np.zeros(0, np.intp)
    rows = rows[np.isin(key, twice)]
    columns = (claims.video, claims.time, *claims.box.T, claims.label)
    order = np.lexsort([rows, *(column[rows] for column in columns)])
    rows = rows[order]
    same = np.ones(max(len(rows) - 1, 0), bool)
    for column in columns:
        same &= column[rows][1:] == column[rows][:-1]
    return np.sort(rows[1:][same])


def _key(claims: Instances, rows: NDArray[np.intp]) -> NDArray[np.uint64]:
    """A number [n] for each row: equal rows have equal ones, others hardly ever do."""
    whole = len(rows) == len(claims)
    key = claims.video.astype(np.uint64) * np.uint64(len(claims.classes) + 1)
    key += claims.label.astype(np.uint64)
    for column in (claims.time, *claims.box.T):
        key *= _ODD
        # 0.0 makes -0 a 0: they are equal, and so must their bits be.
        key ^= (column + 0.0).view(np.uint64)
        key ^= key >> np.uint64(29)
    return key if whole else key[rows]
