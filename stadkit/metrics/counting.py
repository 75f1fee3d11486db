"""Frame mAP protocols, and the rows that each counts: by keyframe, class, score, area and cap.

All evaluators behind published numbers match a detection only to the truth of its class with the
largest IoU, and take the area under the monotone precision envelope. They differ in the fields of
`Protocol`.

ActivityNet's script breaks score ties by heap order, which is reproduced here: it pushes the rows
of a frame into a heap as (score, action, y1, x1, y2, x2) and iterates over it in memory order,
not file order. In a full heap, the minimum is replaced by a row with a better score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from heapq import heappush, heapreplace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Ints, run_starts, stable_order
from stadkit.detections import Keyframes
from stadkit.errors import UsageError
from stadkit.instances import Instances
from stadkit.metrics.matching import frames_of, in_class

Mask = NDArray[np.bool_]
_HASH_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: 2**64 / golden ratio, odd


@dataclass(frozen=True)
class Protocol:
    """The matching rules of one evaluator."""

    name: str
    unlabelled: str = "wrong"  # detections in frames without truth: "wrong" | "dropped"
    # Which row of a frame claims a truth first: the best "score" | the earliest in the "file"
    order: str = "score"
    # Which of tied rows in a frame claims first: the "first" or "last" row, the first in the
    # "heap", or ("sort") the first in the ranking.
    ties: Literal["first", "last", "heap", "sort"] = "last"
    # Order in which frames enter the ranking sort, which affects ties.
    frames: Literal["found", "truth"] = "found"
    cap: int | None = None  # best rows that count in a frame, over all known classes
    float32: bool = False  # precision of boxes and IoU, else float64
    undetected: float = 0.0  # AP of a class with truth but no detections; NaN: not in the mean
    no_area: str = "dropped"  # detections without area: "dropped" | "wrong"
    excluded: str = "dropped"  # truth in excluded frames: "dropped" | "missed" (lowers recall)

    def with_cap(self, cap: int | None) -> Protocol:
        """Return the protocol with this cap, if not None; 0: no cap. UsageError below 0."""
        if cap is None:
            return self
        if cap < 0:
            raise UsageError(f"cap is {cap}; wants the maximum rows per frame, or 0 for all")
        return replace(self, cap=cap or None)


_ALL = (
    Protocol("ava"),  # AlphAction, STMixer
    # get_ava_performance.py since May 2020, and its 2019 version
    Protocol("activitynet", unlabelled="dropped", ties="heap", cap=50),
    Protocol("activitynet-2019", ties="heap", cap=50),
    Protocol("slowfast", order="file", ties="first"),  # PySlowFast, EVAD
    # It counts truth before dropping excluded frames.
    Protocol(
        "mmaction2",
        unlabelled="dropped",
        ties="first",
        frames="truth",
        float32=True,
        undetected=float("nan"),
        no_area="wrong",
        excluded="missed",
    ),
)
PROTOCOLS = {protocol.name: protocol for protocol in _ALL}


# For frames of truth tubes; the rest of ACT's rules is in `act_count`.
MULTISPORTS = Protocol("multisports", ties="sort")


ACT = Protocol("act", ties="sort", no_area="wrong")  # the last pixel is inside: a line has area


def protocol_of(name: str | Protocol) -> Protocol:
    """Return the protocol of this name; raises UsageError for an unknown name."""
    if isinstance(name, Protocol):
        return name
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    near = get_close_matches(name, PROTOCOLS, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown protocol {name!r}; {hint}choose one of {', '.join(PROTOCOLS)}")


@dataclass(frozen=True)
class Counted:
    """The frames of found [n] and truth [m], and masks of the rows that count."""

    found_frame: Ints  # [n]
    truth_frame: Ints  # [m]
    found: Mask  # [n]
    truth: Mask  # [m]  can be matched
    missed: Mask  # [m]  in an excluded frame, but lowers recall
    heap_index: Ints | None = None  # [n]  index in the frame's heap, for protocols with heaps


def count_rows(
    found: Instances,
    truth: Instances,
    rules: Protocol,
    excluded: Keyframes | None,
    only: Keyframes | None,
) -> Counted:
    """Select the rows of found and truth that count under these rules."""
    lists = [frames for frames in (excluded, only) if frames is not None]
    found_frame, truth_frame, *listed = frames_of(found, truth, *lists)
    excluded_frames = listed.pop(0) if excluded is not None else None
    only_frames = listed.pop(0) if only is not None else None
    included = _without(truth_frame, excluded_frames)
    known = (truth.label >= 0) & _within(truth_frame, only_frames)
    matchable = known & included
    counts = (found.label >= 0) & ~np.isnan(found.score)
    counts &= _within(found_frame, only_frames) & _without(found_frame, excluded_frames)
    heap_index = None
    if rules.ties == "heap":
        heap_index = np.full(len(found), -1, np.int64)
        heap_index[counts] = heap_places(found.select(counts), found_frame[counts], rules.cap)
        counts &= heap_index >= 0
    elif rules.cap is not None:
        counts[counts] = best_of_frame(found_frame[counts], found.score[counts], rules.cap)
    if rules.unlabelled == "dropped":
        counts &= _within(found_frame, truth_frame[matchable])
    counts &= _has_area(found.box, rules)
    missed = known & ~included if rules.excluded == "missed" else np.zeros_like(known)
    return Counted(found_frame, truth_frame, counts, matchable, missed, heap_index)


def best_of_frame(frame: Ints, score: NDArray[np.float64], cap: int) -> Mask:
    """Mark the rows [n] among the `cap` best of their frame; ties prefer earlier rows."""
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
    """Mark the frames [n] that are listed; without a list, all."""
    if listed is None:
        return np.ones(len(frame), bool)
    listed = np.unique(listed)
    if not len(listed):
        return np.zeros(len(frame), bool)
    at = np.searchsorted(listed, frame)
    at[at == len(listed)] = 0
    return np.asarray(listed[at] == frame)


def _without(frame: Ints, listed: Ints | None) -> Mask:
    """Mark the frames [n] that are not listed; without a list, all."""
    return np.ones(len(frame), bool) if listed is None else ~_within(frame, listed)


def heap_places(found: Instances, frame: Ints, cap: int | None) -> Ints:
    """Return the index of each row [n] in its frame's heap; -1: dropped by `cap`.

    Indices are computed only for frames where they matter, those with score ties in a class or
    more than `cap` rows; elsewhere all are 0.
    """
    place = np.zeros(len(found), np.int64)
    rows = np.flatnonzero(_needs_heap(found, frame, cap))
    if not len(rows):
        return place
    rows = rows[stable_order(frame[rows])]
    x1, y1, x2, y2 = found.box[rows].T
    ascending = np.lexsort((x2, y2, x1, y1, found.label[rows], found.score[rows]))
    rank = np.empty(len(rows), np.int64)
    rank[ascending] = np.arange(len(rows))
    heaps = _final_heaps(rank, run_starts(frame[rows]), found.score[rows[ascending]].tolist(), cap)
    place[rows] = -1
    for heap in heaps:
        place[rows[ascending[heap]]] = np.arange(len(heap))
    return place


def _needs_heap(found: Instances, frame: Ints, cap: int | None) -> NDArray[np.bool_]:
    """Mark the rows [n] of frames where heap order matters."""
    # One hash of class, frame and score, as sorting by each takes a second on AVA. A collision
    # only builds an unneeded heap. Adding 0 turns -0 into 0.
    group = in_class(frame, found.label, len(found.classes)).view(np.uint64)
    mixed = group * _HASH_MULTIPLIER ^ (found.score + 0).view(np.uint64)
    order = np.argsort(mixed)
    tied = ~run_starts(mixed[order])
    _, number, count = np.unique(frame, return_inverse=True, return_counts=True)
    needed = count > cap if cap is not None else np.zeros(len(count), bool)
    needed[number[order[tied]]] = True
    return np.asarray(needed[number])


def _final_heaps(
    rank: Ints, start: NDArray[np.bool_], score: list[float], cap: int | None
) -> list[list[int]]:
    """Return the final contents of the heaps as ranks [n] of rows; `score` [n] is by rank.

    `start` marks the first row of each heap.
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
