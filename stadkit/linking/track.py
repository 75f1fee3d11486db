"""Linking: detections -> tracks (identity over time) -> tubes (one action, start to end).

Boxes of the same person in one keyframe are merged first.

Gaps in tracks come from missed detections or from real absences (occluded or out of view). A tube
bridges a miss and ends at an absence. The detector's miss rate is estimated per video from the
histogram of gap lengths: gaps in excess of the expected absences, mostly short ones, are misses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stadkit import boxes
from stadkit.arrays import Rows, rows_by_frame
from stadkit.detections import Detections, Keyframes, milliseconds
from stadkit.linking.association import Floats, track_people
from stadkit.linking.options import LinkOptions
from stadkit.linking.segments import MAX_BRIDGED, TrackedPeople, extract_tubes, grids, longest_gap
from stadkit.linking.tubelets import Observations, chain_tubelets
from stadkit.tubes import Tubes

# A track survives at least this many keyframe intervals, unless they exceed this many seconds.
MIN_GAP_INTERVALS, MAX_INTERVALS_SECONDS = 3.0, 10.0
# Expected absences of k keyframes per observation: rate * interval * exp(-k * interval / decay).
ABSENCE_RATE, ABSENCE_DECAY = 0.07, 1.0  # per second; seconds
# Prior of the detector's miss rate, weighted as this many keyframes.
PRIOR_MISS_RATE, PRIOR_KEYFRAMES = 0.3, 8.0


@dataclass(frozen=True)
class Linked:
    """Detections with track ids, and the tubes along the tracks."""

    found: Detections  # the input rows; `track` counts from 0 in each video
    tubes: Tubes  # one action each, a box at every keyframe; by video, track, class, time


def link(
    found: Detections, keyframes: Keyframes | None = None, options: LinkOptions | None = None
) -> Linked:
    """Track each person through the keyframes, then cut their actions into tubes.

    keyframes: all processed keyframes, so that a time without rows counts as a gap; default: the
    times that have rows. Rows of one video that share a `track` >= 0 form one tubelet.
    The order of rows does not matter.
    """
    options = options or LinkOptions()
    track = np.full(len(found), -1, np.int32)
    tubes: list[Tubes] = []
    for video, rows, times in _videos(found, keyframes):
        part = found.select(rows)
        track[rows], cut = _link_video(part, video, times, options)
        tubes.append(cut)
    return Linked(found.with_track(track), Tubes.join(tubes, found.classes))


def _videos(
    found: Detections, keyframes: Keyframes | None
) -> Iterator[tuple[str, Rows, NDArray[np.int64]]]:
    """Yield (name, rows, keyframe times in ms) of each video that has rows, sorted by name."""
    if not len(found):
        return
    names, number = np.unique(found.video, return_inverse=True)
    order = np.argsort(number, kind="stable")
    listed_times: dict[str, NDArray[np.int64]] = {}
    if keyframes is not None and len(keyframes):
        listed, of = np.unique(keyframes.video, return_inverse=True)
        by_video = np.argsort(of, kind="stable")
        cuts = np.searchsorted(of[by_video], np.arange(1, len(listed)))
        parts = np.split(milliseconds(keyframes.time)[by_video], cuts)
        listed_times = dict(zip(listed.tolist(), parts, strict=True))
    cuts = np.searchsorted(number[order], np.arange(1, len(names)))
    for name, rows in zip(names.tolist(), np.split(order, cuts), strict=True):
        row_times = milliseconds(found.time[rows])
        times = listed_times.get(name, row_times[:0])
        yield name, rows, np.unique(np.concatenate([row_times, times]))


def _link_video(
    found: Detections, video: str, times: NDArray[np.int64], options: LinkOptions
) -> tuple[NDArray[np.int32], Tubes]:
    """Link one video: the track of each row, and the tubes sorted by track, class and time."""
    people, person_of_row = _merge_people(
        found, np.searchsorted(times, milliseconds(found.time)), options
    )
    seconds = times / 1000
    interval = float(np.median(np.diff(seconds))) if len(times) > 1 else 1.0
    gap = max(options.max_gap, min(MIN_GAP_INTERVALS * interval, MAX_INTERVALS_SECONDS)) + 1e-6
    track = track_people(
        seconds, people.box, people.score, people.frame, people.chain, gap, options.min_iou
    )
    observed = TrackedPeople(seconds, people.frame, people.box, people.score, track)
    split_gap = longest_gap(options.max_fill, interval)
    missed = longest_missed_gap(track, people.frame, interval, MAX_BRIDGED)
    classes = found.classes
    parts = [
        extract_tubes(g, video, classes, interval, missed, options)
        for g in grids(observed, split_gap)
    ]
    tubes = Tubes.join(parts, classes)
    order = np.lexsort((tubes.time[tubes.start[:-1]], tubes.label, tubes.track))
    return track[person_of_row], tubes.select(order)


def _merge_people(
    found: Detections, frame: Rows, options: LinkOptions
) -> tuple[Observations, Rows]:
    """Merge one video's rows to one per person and keyframe; also return each row's new row [n]."""
    score = np.nan_to_num(found.action.astype(np.float64), nan=0.0)
    best = score.max(1, initial=0.0)
    rank = np.where(np.isnan(found.person), best, found.person.astype(np.float64))
    box = found.box.astype(np.float64)
    # Sorted, so that the result does not depend on the order of rows.
    order = np.lexsort((*score.T, -rank, *box.T[::-1], frame))
    raw = Observations(frame, box, rank, score, found.track.astype(np.intp)).select(order)
    people, row = chain_tubelets(raw)
    representative = merge(people.frame, people.box, people.rank, people.chain, options.merge_iou)
    kept, person_of_row = np.unique(representative, return_inverse=True)
    max_score: Floats = np.zeros((len(kept), score.shape[1]))
    np.maximum.at(max_score, person_of_row, people.score)
    of_row = np.empty(len(order), np.intp)
    of_row[order] = person_of_row[row]
    return replace(people.select(kept), score=max_score), of_row


def merge(frame: Rows, box: Floats, rank: Floats, chain: Rows, max_iou: float) -> Rows:
    """Return the representative [n] of each row: itself, or a better overlapping row of its frame.

    Rows are sorted by frame. As in NMS, rows with a chain come first, then higher `rank`, then
    earlier rows; a row is merged into the first kept row whose IoU with it exceeds `max_iou`.
    Rows of different chains [n] are never merged; -1: no chain.
    """
    representative = np.arange(len(frame))
    for rows in rows_by_frame(frame):
        if len(rows) > 1:
            overlapping = boxes.iou(box[rows], box[rows]) > max_iou
            overlapping &= _may_merge(chain[rows])
            np.fill_diagonal(overlapping, False)
            if overlapping.any():
                order = np.lexsort((-rank[rows], chain[rows] < 0))  # rows with a chain first
                representative[rows] = rows[_representatives(overlapping, order)]
    return representative


def _may_merge(chain: Rows) -> NDArray[np.bool_]:
    """Mark the pairs [n, n] that do not belong to two different chains."""
    one, other = chain[:, None], chain[None]
    return np.asarray((one < 0) | (other < 0) | (one == other))


def _representatives(overlapping: NDArray[np.bool_], order: Rows) -> Rows:
    """Return the representative of each row, visiting rows in this order."""
    representative = np.full(len(order), -1, np.intp)
    for row in order.tolist():
        if representative[row] < 0:
            representative[overlapping[row] & (representative < 0)] = row
            representative[row] = row
    return representative


def longest_missed_gap(track: NDArray[np.int32], frame: Rows, interval: float, max_gap: int) -> int:
    """Return the longest gap, in keyframes, that is more likely a miss than an absence.

    track [p]: the tracks of people observed at keyframes `frame` [p], `interval` seconds apart.
    Gaps of more than `max_gap` keyframes never count as misses.
    """
    order = np.lexsort((frame, track))
    step = np.diff(frame[order])[np.diff(track[order]) == 0]
    count = np.bincount(step[step <= max_gap + 1], minlength=max_gap + 2)[1:]
    k = np.arange(1, max_gap + 1)
    absent = ABSENCE_RATE * interval * np.exp(-k * interval / ABSENCE_DECAY)
    gaps, observed = np.maximum(count[1:] - absent * count[0], 0), float(count[0])
    gaps += PRIOR_KEYFRAMES * (1 - PRIOR_MISS_RATE) * PRIOR_MISS_RATE**k
    observed += PRIOR_KEYFRAMES * (1 - PRIOR_MISS_RATE)
    # A repeated miss has its own probability, as misses may come in bursts.
    repeat = 1 - gaps.sum() / (gaps @ k)
    missed = gaps.sum() / (gaps.sum() + observed) * (1 - repeat) * repeat ** (k - 1)
    return int(np.logical_and.accumulate(missed >= absent).sum())
