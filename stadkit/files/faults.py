"""Faults of boxes, tubes and tubelets, counted by kind, for any format; and repeated rows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stadkit.errors import AnnotationError
from stadkit.instances import Instances
from stadkit.tubes import Tubelets, Tubes

Rows = NDArray[np.bool_]  # mask [n] of a file's rows
Floats = NDArray[np.float64]
Place = int | str
MAX_EXAMPLES = 3  # places, ids and examples listed per fault
_LARGEST_FRACTION = 2  # larger coordinates are pixels
_INVERTED, _INSIDE = 0.05, 0.99  # shares of rows at which boxes look like x, y, w, h
_WORDS = {
    "unknown label": "an action id missing from the labels: counted for people only",
    "unknown name": "an action missing from the truth's list: counted for people only",
    "repeated": "the video, time, box and action of an earlier row: all count, mostly as wrong",
    "pixels": "a box that reaches beyond 2, probably in pixels: wants fractions of the frame",
    "xywh": "x2 < x1 or y2 < y1: these boxes look like x, y, width, height; skipped",
    "inverted": "a box with x2 < x1 or y2 < y1: skipped",
    "no area": "a box without area: skipped by most protocols",
    "not finite": "a box or score that is NaN or infinite: skipped",
    "score outside 0..1": "a score outside 0..1: kept, as only the order counts",
}
INVALID_TRUTH_BOX = {
    "not finite": "a coordinate is NaN or infinite; fix the box or remove the row",
    "xywh": "x2 < x1 or y2 < y1, so these look like x, y, width, height; write x1, y1, x2, y2",
    "inverted": "x2 < x1 or y2 < y1; a box is x1, y1, x2, y2: swap its corners",
}
_HASH_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: 2^64 / golden ratio, odd


@dataclass(frozen=True)
class Faults:
    """Faulty rows of a file that were skipped, or counted as they are."""

    path: Path
    kinds: dict[str, tuple[int, tuple[Place, ...]]]  # count, and places of the first
    unknown: tuple[int, ...] = ()  # first action ids missing from the labels
    thing: str = "line"  # unit of places: lines from 1, rows from 0, tubes by name
    examples: dict[str, tuple[str, ...]] | None = None  # for kinds without places

    def lines(self) -> list[str]:
        """Return one sentence per kind."""
        return [self._line(kind, *where) for kind, where in self.kinds.items()]

    def with_kind(self, kind: str, count: int, examples: Sequence[str]) -> Faults:
        """Return the faults with one more kind and its examples; unchanged if count is 0."""
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
        what, _, treatment = _WORDS[kind].partition(":")
        examples = (self.examples or {}).get(kind) or tuple(map(str, self._unknown(kind)))
        if examples:
            what += f", such as {', '.join(examples)}"
        if places:
            what += f" ({self._where(places)}{', ...' if count > len(places) else ''})"
        return f"{count:,} {have} {what}:{treatment}"

    def _where(self, places: tuple[Place, ...]) -> str:
        if isinstance(places[0], str):
            return "; ".join(map(str, places))
        return f"{self.thing}{'s' * (len(places) > 1)} {', '.join(map(str, places))}"

    def _unknown(self, kind: str) -> tuple[int, ...]:
        return self.unknown if kind == "unknown label" else ()


def faults_of(
    path: Path, wrong: dict[str, Rows], truth: bool, thing: str, place: Callable[[int], Place]
) -> Faults:
    """Collect the faults of rows without line numbers; `place` locates row i.

    Raises AnnotationError for an invalid truth box.
    """
    kinds: dict[str, tuple[int, tuple[Place, ...]]] = {}
    for kind, mask in wrong.items():
        at = np.flatnonzero(mask).tolist()
        if at and not (truth and kind == "no area"):  # counts like any other box
            kinds[kind] = len(at), tuple(place(row) for row in at[:MAX_EXAMPLES])
    for kind, reason in INVALID_TRUTH_BOX.items() if truth else ():
        if kind in kinds:
            count, places = kinds[kind]
            more = f" ({count:,} {thing}s)" if count > 1 else ""
            where = places[0] if isinstance(places[0], str) else f"{thing} {places[0]}"
            raise AnnotationError(f"{path}: {where}: {reason}{more}")
    return Faults(path, kinds, thing=thing)


def wrong_boxes(sides: Sequence[Floats], score: Floats | None) -> dict[str, Rows]:
    """Mark the rows of each kind of fault; sides are x1, y1, x2, y2, each [n]."""
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
    """Whether x2, y2 look like width and height: x + width stays inside the frame."""
    x1, y1, x2, y2 = sides
    inside = (x1 + x2 < 1.01) & (y1 + y2 < 1.01)
    return bool(inverted.mean() >= _INVERTED and inside.mean() >= _INSIDE)


def repeated(instances: Instances) -> NDArray[np.intp]:
    """Return the rows [k] that repeat an earlier row's video, time, box and action.

    Scores are ignored. Rows without a class are excluded: they may stand for several actions.
    """
    rows = np.flatnonzero(instances.label >= 0)
    key = _row_hash(instances, rows)
    ordered = np.sort(key)  # much faster than argsort, which is rarely needed
    duplicated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(duplicated):
        return np.zeros(0, np.intp)
    rows = rows[np.isin(key, duplicated)]
    columns = (instances.video, instances.time, *instances.box.T, instances.label)
    order = np.lexsort([rows, *(column[rows] for column in columns)])
    rows = rows[order]
    same = np.ones(max(len(rows) - 1, 0), bool)
    for column in columns:
        same &= column[rows][1:] == column[rows][:-1]
    return np.sort(rows[1:][same])


def _row_hash(instances: Instances, rows: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Hash each row [n]: equal rows have equal hashes, others rarely do."""
    all_rows = len(rows) == len(instances)
    key = instances.video.astype(np.uint64) * np.uint64(len(instances.classes) + 1)
    key += instances.label.astype(np.uint64)
    for column in (instances.time, *instances.box.T):
        key *= _HASH_MULTIPLIER
        # Adding 0.0 turns -0 into 0: equal values need equal bits.
        key ^= (column + 0.0).view(np.uint64)
        key ^= key >> np.uint64(29)
    return key if all_rows else key[rows]


def faults_of_tubes(path: Path, tubes: Tubes, truth: bool) -> Faults:
    """Count tubes with an invalid box or score; AnnotationError for an invalid truth box."""
    score, tube_score = tubes.box_score, tubes.score[tubes.owner]
    # Either may be outside 0..1.
    score = np.where((tube_score < 0) | (tube_score > 1), tube_score, score)
    wrong = wrong_boxes(tuple(tubes.box.T), score)
    by_owner = {
        kind: np.bincount(tubes.owner[mask], minlength=len(tubes)) > 0
        for kind, mask in wrong.items()
    }
    return faults_of(path, by_owner, truth, "tube", _tube_namer(tubes))


def faults_of_tubelets(path: Path, tubelets: Tubelets, box: Floats) -> Faults:
    """Count tubelets [n] with an invalid box or score; box [n k, 4] are in fractions."""
    n, k = len(tubelets), tubelets.length
    wrong = wrong_boxes(tuple(box.T), np.repeat(tubelets.score, k))
    by_owner: dict[str, Rows] = {
        kind: np.asarray(mask.reshape(n, k).any(1)) for kind, mask in wrong.items()
    }

    def place(row: int) -> Place:
        return f"{tubelets.videos[tubelets.video[row]]}, frame {tubelets.frame[row]}"

    return faults_of(path, by_owner, False, "tubelet", place)


def faults_of_rows(path: Path, rows: Instances) -> Faults:
    """Count found rows, numbered from 0, with an invalid box or score."""
    return faults_of(path, wrong_boxes(tuple(rows.box.T), rows.score), False, "row", int)


def _tube_namer(tubes: Tubes) -> Callable[[int], Place]:
    """Name a tube by its index in its video, from 0, as the JSON reader counts them."""

    def place(row: int) -> Place:
        video = tubes.video[row]
        return f"{video}, tube {int((tubes.video[:row] == video).sum())}"

    return place
