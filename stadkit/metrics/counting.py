"""Which rows count: by keyframes, by class and score, by area, by the cap of a protocol.

The heaps of ActivityNet's script, whose order its equal scores go in.

The script pushes the rows of a frame into a heap, each as (score, action, y1, x1, y2, x2), and
goes through it as it lies, not in the order of the file. A full heap gives up its least for a
row with a better score.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappush, heapreplace

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Ints, run_starts, stable_order
from stadkit.detections import Keyframes
from stadkit.instances import Instances
from stadkit.metrics.matching import frames_of, in_class
from stadkit.metrics.protocols import Protocol

Mask = NDArray[np.bool_]
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd, with bits all over: 2**64 over the golden ratio


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
    found: Instances,
    truth: Instances,
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


def heap_places(found: Instances, frame: Ints, cap: int | None) -> Ints:
    """The place of each row [n] in the heap of its frame; -1: not held, when `cap` are.

    Places are only told in frames where they matter, those with equal scores of a class or
    more than `cap` rows; elsewhere all are 0.
    """
    place = np.zeros(len(found), np.int64)
    rows = np.flatnonzero(_asked(found, frame, cap))
    if not len(rows):
        return place
    rows = rows[stable_order(frame[rows])]
    x1, y1, x2, y2 = found.box[rows].T
    upward = np.lexsort((x2, y2, x1, y1, found.label[rows], found.score[rows]))
    rank = np.empty(len(rows), np.int64)
    rank[upward] = np.arange(len(rows))
    held = _held(rank, run_starts(frame[rows]), found.score[rows[upward]].tolist(), cap)
    place[rows] = -1
    for heap in held:
        place[rows[upward[heap]]] = np.arange(len(heap))
    return place


def _asked(found: Instances, frame: Ints, cap: int | None) -> NDArray[np.bool_]:
    """Which rows [n] are in a frame where the heap matters."""
    # One number for class, frame and score, as sorting by each takes a second on AVA's size. Two
    # that are equal by chance only make a heap that is not needed. 0 is added to make -0 one.
    group = in_class(frame, found.label, len(found.classes)).view(np.uint64)
    mixed = group * _SPREAD ^ (found.score + 0).view(np.uint64)
    order = np.argsort(mixed)
    twin = ~run_starts(mixed[order])
    _, number, count = np.unique(frame, return_inverse=True, return_counts=True)
    asked = count > cap if cap is not None else np.zeros(len(count), bool)
    asked[number[order[twin]]] = True
    return np.asarray(asked[number])


def _held(
    rank: Ints, start: NDArray[np.bool_], score: list[float], cap: int | None
) -> list[list[int]]:
    """What the heaps hold in the end, as ranks [n] of rows, `score` [n] of each rank.

    `start` is where the rows of a heap begin.
    """
    heaps = []
    for ranks in np.split(rank, np.flatnonzero(start)[1:]):
        heap: list[int] = []
        for number in ranks.tolist():
            if cap is None or len(heap) < cap:
                heappush(heap, number)
            elif score[number] > score[heap[0]]:
                heapreplace(heap, number)
        heaps.append(heap)
    return heaps
