"""The heaps of ActivityNet's script, whose order its equal scores go in.

The script pushes the rows of a frame into a heap, each as (score, action, y1, x1, y2, x2), and
goes through it as it lies, not in the order of the file. A full heap gives up its least for a
row with a better score.
"""

from __future__ import annotations

from heapq import heappush, heapreplace

import numpy as np
from numpy.typing import NDArray

from stadkit.claims import Claims
from stadkit.link.order import stable_order
from stadkit.link.runs import Ints, first_of_each
from stadkit.metrics.matching import in_class

_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd, with bits all over: 2**64 over the golden ratio


def heap_places(found: Claims, frame: Ints, cap: int | None) -> Ints:
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
    held = _held(rank, first_of_each(frame[rows]), found.score[rows[upward]].tolist(), cap)
    place[rows] = -1
    for heap in held:
        place[rows[upward[heap]]] = np.arange(len(heap))
    return place


def _asked(found: Claims, frame: Ints, cap: int | None) -> NDArray[np.bool_]:
    """Which rows [n] are in a frame where the heap matters."""
    # One number for class, frame and score, as sorting by each takes a second on AVA's size. Two
    # that are equal by chance only make a heap that is not needed. 0 is added to make -0 one.
    group = in_class(frame, found.label, len(found.classes)).view(np.uint64)
    mixed = group * _SPREAD ^ (found.score + 0).view(np.uint64)
    order = np.argsort(mixed)
    twin = ~first_of_each(mixed[order])
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
