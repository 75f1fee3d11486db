"""Match detections to truth by the largest IoU within frame and class; reduce rows to people.

A person is a unique box of a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import expand_ranges
from stadkit.detections import Keyframes, milliseconds
from stadkit.instances import Instances

Ints = NDArray[np.int64]
Floats = NDArray[np.float32 | np.float64]
_BLOCK_SIZE = 1 << 16  # pairs compared at once, to fit the CPU cache


def frames_of(*tables: Instances | Keyframes) -> tuple[Ints, ...]:
    """Number the frame of each row of each table: equal for equal video and millisecond.

    Numbers are >= 0, but not dense.
    """
    videos: dict[str, int] = {}
    video = [_video_numbers(table, videos) for table in tables]
    ms = [milliseconds(table.time) for table in tables]
    low = min((int(part.min()) for part in ms if len(part)), default=0)
    span = max((int(part.max()) for part in ms if len(part)), default=0) - low + 1
    if span * max(len(videos), 1) > 2**40:  # leave room to pack the class into the same int64
        rank = np.unique(np.concatenate(ms), return_inverse=True)[1]
        ends = np.cumsum([len(part) for part in ms])[:-1]
        ms = [part.astype(np.int64) for part in np.split(rank, ends)]
        low, span = 0, len(rank)
    return tuple(v * span + (m - low) for v, m in zip(video, ms, strict=True))


def _video_numbers(table: Instances | Keyframes, known: dict[str, int]) -> Ints:
    """Return the number of each row's video; new videos are added to `known`."""
    if isinstance(table, Instances):
        return _numbers(table.videos, known)[table.video]
    names, row = np.unique(table.video, return_inverse=True)
    return _numbers(names.tolist(), known)[row]


def _numbers(names: Iterable[str], known: dict[str, int]) -> Ints:
    return np.asarray([known.setdefault(name, len(known)) for name in names], np.int64)


def best_truth(
    found_group: Ints, truth_group: Ints, found_box: Floats, truth_box: Floats
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find for each detection the truth row of its group with the largest IoU, and the IoU.

    Groups [n] and [m], -1: never matched; boxes [n, 4] and [m, 4] -> rows int32 [n], -1 where the
    group has no truth, and IoU [n], 0 there. Ties take the first row.
    """
    best = np.full(len(found_group), -1, np.int32)
    overlap = np.zeros(len(found_group), np.float64)
    order = np.argsort(truth_group, kind="stable")
    start: NDArray[np.intp]
    count: NDArray[np.intp]
    group, start, count = np.unique(truth_group[order], return_index=True, return_counts=True)
    if not len(group):
        return best, overlap
    at = np.searchsorted(group, found_group)
    at[at == len(group)] = 0
    rows = np.flatnonzero(group[at] == found_group)
    start, count = start[at[rows]], count[at[rows]]
    for part in blocks(count, _BLOCK_SIZE):
        a, b = expand_ranges(start[part], count[part])
        b, detections = order[b], rows[part]
        pair_iou = iou(found_box[detections[a]], truth_box[b])
        winner = _first_largest(pair_iou, count[part])
        best[detections], overlap[detections] = b[winner], pair_iou[winner]
    return best, overlap


def in_class(frame: Ints, label: NDArray[np.int32], classes: int) -> Ints:
    """Number the rows [n] by frame and class."""
    return frame * classes + label


def blocks(count: NDArray[Any], size: int) -> Iterator[slice]:
    """Yield slices of rows with about `size` pairs in total, where row i has `count[i]` pairs."""
    total = np.cumsum(count)
    edges = np.arange(0, int(total[-1]) if len(total) else 0, size)
    cuts = np.unique(np.append(np.searchsorted(total, edges, "right"), len(count)))
    for first, last in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        yield slice(first, last)


def _first_largest(value: NDArray[np.float64], count: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the index of the largest of each run of `count` values; ties take the first."""
    before = np.cumsum(count) - count
    largest = np.maximum.reduceat(value, before)
    at = np.flatnonzero(value == np.repeat(largest, count))
    return at[np.searchsorted(at, before)]


def iou(a: Floats, b: Floats) -> NDArray[np.float64]:
    """IoU [n] of boxes a and b [n, 4], row by row; 0 where the union is empty.

    Sides and areas are computed in the boxes' precision, intersection and quotient in float64, as
    in mmaction2 with float32 boxes: the last bit decides for an IoU exactly at the threshold.
    """
    ax1, ay1, ax2, ay2 = a.T
    bx1, by1, bx2, by2 = b.T
    areas = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1)
    wide = np.maximum(np.minimum(ax2, bx2) - np.maximum(ax1, bx1), 0, dtype=np.float64)
    high = np.maximum(np.minimum(ay2, by2) - np.maximum(ay1, by1), 0, dtype=np.float64)
    shared = wide * high
    union = areas - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def first_claims(best: NDArray[np.int32], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the first of these rows, in claim order, for each truth of `best` [n]."""
    if not len(rows):
        return rows
    first = np.full(int(best[rows].max()) + 1, -1, np.intp)
    first[best[rows[::-1]]] = rows[::-1]  # the last write to an index wins
    return first[first >= 0]


def people(table: Instances) -> tuple[Instances, NDArray[np.intp]]:
    """Keep the best-scored row of each box and frame, as class "person"; also return its index.

    Ties take the first row. Rows with NaN scores are dropped, rows without a class are kept. Two
    people of one frame with exactly the same box count as one.
    """
    unknown = np.isnan(table.score)
    # Usually all rows have a score; this avoids copying a large table.
    scored = np.flatnonzero(~unknown) if unknown.any() else slice(None)
    (frame,) = frames_of(table)
    person = same_box(frame[scored], table.box[scored])
    rows = _best_rows(person, table.score[scored])
    rows = rows if isinstance(scored, slice) else scored[rows]
    reduced = replace(table.select(rows), label=np.zeros(len(rows), np.int32), classes=("person",))
    return reduced, rows


def same_box(frame: Ints, box: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number the rows [n] from 0: equal for equal frame [n] and box [n, 4]."""
    columns = (frame, *box.T)
    # Rows of a box are mostly adjacent: only the first of each run is sorted.
    start = changes(columns)
    firsts = np.flatnonzero(start)
    heads = [column[firsts] for column in columns]
    order = np.lexsort(heads[::-1])
    number = np.empty(len(order), np.intp)
    number[order] = np.cumsum(changes([head[order] for head in heads])) - 1
    return np.asarray(number[np.cumsum(start) - 1])


def changes(columns: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Mark the rows [n] that differ from the previous row in any column, and the first row."""
    start = np.ones(len(columns[0]), bool)
    start[1:] = False
    for column in columns:
        start[1:] |= column[1:] != column[:-1]
    return start


def _best_rows(group: NDArray[np.intp], score: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the best-scored row of each group, sorted; ties take the first row."""
    best = np.full(int(group.max(initial=-1)) + 1, -np.inf)
    starts = np.flatnonzero(changes([group]))
    if len(starts):
        np.maximum.at(best, group[starts], np.maximum.reduceat(score, starts))
    rows = np.flatnonzero(score == best[group])[::-1]
    first = np.empty(len(best), np.intp)
    first[group[rows]] = rows  # the last write to an index wins
    return np.sort(first)
