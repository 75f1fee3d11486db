"""Which rows count: by keyframes, by class and score, by area, by the cap of a protocol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.claims import Claims
from stadkit.detections import Keyframes
from stadkit.metrics.heaps import heap_places
from stadkit.metrics.matching import Ints, frames_of
from stadkit.metrics.protocols import Protocol

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Counted:
    """The frames of found [n] and truth [m], and the rows that count."""

    found_frame: Ints  # [n]
    truth_frame: Ints  # [m]
    found: Mask  # [n]
    truth: Mask  # [m]  can be found
    missed: Mask  # [m]  in an excluded frame, yet lowers recall
    held: Ints | None = None  # [n]  place in the heap of the frame, where the protocol has heaps


def count_rows(
    found: Claims,
    truth: Claims,
    rules: Protocol,
    excluded: Keyframes | None,
    only: Keyframes | None,
) -> Counted:
    """Which rows of found and truth count under these rules."""
    given = [frames for frames in (excluded, only) if frames is not None]
    found_frame, truth_frame, *listed = frames_of(found, truth, *given)
    gone = listed.pop(0) if excluded is not None else None
    asked = listed.pop(0) if only is not None else None
    left_out = _without(truth_frame, gone)
    known = (truth.label >= 0) & _within(truth_frame, asked)
    there = known & left_out
    counts = (found.label >= 0) & ~np.isnan(found.score)
    counts &= _within(found_frame, asked) & _without(found_frame, gone)
    held = None
    if rules.ties == "heap":
        held = np.full(len(found), -1, np.int64)
        held[counts] = heap_places(found.select(counts), found_frame[counts], rules.cap)
        counts &= held >= 0
    elif rules.cap is not None:
        counts[counts] = best_of_frame(found_frame[counts], found.score[counts], rules.cap)
    if rules.unseen == "dropped":
        counts &= _within(found_frame, truth_frame[there])
    counts &= _has_area(found.box, rules)
    missed = known & ~left_out if rules.excluded == "missed" else np.zeros_like(known)
    return Counted(found_frame, truth_frame, counts, there, missed, held)


def best_of_frame(frame: Ints, score: NDArray[np.float64], cap: int) -> Mask:
    """Which rows [n] are among the `cap` best of their frame; the earlier of equals are."""
    kept = np.ones(len(frame), bool)
    _, number, count = np.unique(frame, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(count[number] > cap)
    if not len(rows):
        return kept
    order = rows[np.lexsort((-score[rows], number[rows]))]
    _, start, count = np.unique(number[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(start, count)
    kept[order[place >= cap]] = False
    return kept


def _has_area(box: NDArray[np.float64], rules: Protocol) -> Mask:
    x1, y1, x2, y2 = box.T
    if rules.no_area == "wrong":
        return np.asarray((x2 >= x1) & (y2 >= y1))
    return np.asarray((x2 > x1) & (y2 > y1))


def _within(frame: Ints, listed: Ints | None) -> Mask:
    """Which frames [n] are listed; without a list, all."""
    if listed is None:
        return np.ones(len(frame), bool)
    listed = np.unique(listed)
    if not len(listed):
        return np.zeros(len(frame), bool)
    at = np.searchsorted(listed, frame)
    at[at == len(listed)] = 0
    return np.asarray(listed[at] == frame)


def _without(frame: Ints, listed: Ints | None) -> Mask:
    """Which frames [n] are not listed; without a list, all."""
    return np.ones(len(frame), bool) if listed is None else ~_within(frame, listed)
