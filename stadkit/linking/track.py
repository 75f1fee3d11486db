"""From detections to tracks and tubes: who goes on, and what each does from when to when.

One row a person and keyframe: boxes that tell of the same one are put together.

How often people who are there are missed, and so which gaps of their tracks are misses.

A detector that misses many leaves gaps in everybody's track, and a tube goes on over them. One
that misses nobody has a gap only where somebody is hidden or gone, and a tube ends there. So the
gaps of a video are counted by length: those beyond what comes of people who are away are misses,
short ones mostly.
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
from stadkit.linking.options import Options
from stadkit.linking.segments import MOST, Seen, extract_tubes, grids, longest_gap
from stadkit.linking.tubelets import Sights, chained
from stadkit.tubes import Tubes

KEYFRAMES, FARTHEST = 3.0, 10.0  # intervals that a person may be unseen, up to these seconds
# How often somebody is away for just k keyframes: of keyframes at which it was seen, by their
# interval in seconds, and less for longer.
AWAY, LASTS = 0.07, 1.0  # a second; seconds
# A detector not yet seen at work: the share that it misses, as if counted at so many keyframes.
MISSED, COUNTED = 0.3, 8.0


@dataclass(frozen=True)
class Linked:
    """Detections with their tracks, and the tubes on these."""

    found: Detections  # the rows as given; `track` from 0 in each video
    tubes: Tubes  # one action each, a box at every keyframe; by video, track, class, time


def link(
    found: Detections, keyframes: Keyframes | None = None, options: Options | None = None
) -> Linked:
    """Follow each person through the keyframes, then cut what they do into tubes.

    keyframes: what was looked at, so that a time without a row is a person unseen there; else
    the times that have rows. Rows of one video that share a `track` of 0 or more are one
    tubelet. The order of rows does not matter.
    """
    options = options or Options()
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
    """(name, rows, milliseconds of its keyframes) of each video that has rows, by name."""
    if not len(found):
        return
    names, number = np.unique(found.video, return_inverse=True)
    order = np.argsort(number, kind="stable")
    looked: dict[str, NDArray[np.int64]] = {}
    if keyframes is not None and len(keyframes):
        listed, of = np.unique(keyframes.video, return_inverse=True)
        by_video = np.argsort(of, kind="stable")
        cuts = np.searchsorted(of[by_video], np.arange(1, len(listed)))
        parts = np.split(milliseconds(keyframes.time)[by_video], cuts)
        looked = dict(zip(listed.tolist(), parts, strict=True))
    cuts = np.searchsorted(number[order], np.arange(1, len(names)))
    for name, rows in zip(names.tolist(), np.split(order, cuts), strict=True):
        own = milliseconds(found.time[rows])
        times = looked.get(name, own[:0])
        yield name, rows, np.unique(np.concatenate([own, times]))


def _link_video(
    found: Detections, video: str, times: NDArray[np.int64], options: Options
) -> tuple[NDArray[np.int32], Tubes]:
    """The track of each row of one video, and the tubes by track, class and time."""
    sights, person = _people(found, np.searchsorted(times, milliseconds(found.time)), options)
    seconds = times / 1000
    interval = float(np.median(np.diff(seconds))) if len(times) > 1 else 1.0
    gap = max(options.max_gap, min(KEYFRAMES * interval, FARTHEST)) + 1e-6
    track = track_people(
        seconds, sights.box, sights.score, sights.frame, sights.chain, gap, options.min_iou
    )
    seen = Seen(seconds, sights.frame, sights.box, sights.score, track)
    hole = longest_gap(options.max_fill, interval)
    missed = longest_missed_gap(track, sights.frame, interval, MOST)
    classes = found.classes
    parts = [extract_tubes(g, video, classes, interval, missed, options) for g in grids(seen, hole)]
    tubes = Tubes.join(parts, classes)
    order = np.lexsort((tubes.time[tubes.start[:-1]], tubes.label, tubes.track))
    return track[person], tubes.select(order)


def _people(found: Detections, frame: Rows, options: Options) -> tuple[Sights, Rows]:
    """The people of one video's keyframes, each once, and which one each row [n] tells of."""
    score = np.nan_to_num(found.action.astype(np.float64), nan=0.0)
    best = score.max(1, initial=0.0)
    rank = np.where(np.isnan(found.person), best, found.person.astype(np.float64))
    box = found.box.astype(np.float64)
    # In an order of their own, so that the rows' order is nothing.
    order = np.lexsort((*score.T, -rank, *box.T[::-1], frame))
    raw = Sights(frame, box, rank, score, found.track.astype(np.intp)).select(order)
    sights, row = chained(raw)
    keeper = merge(sights.frame, sights.box, sights.rank, sights.chain, options.merge_iou)
    kept, person = np.unique(keeper, return_inverse=True)
    whole: Floats = np.zeros((len(kept), score.shape[1]))
    np.maximum.at(whole, person, sights.score)
    of_row = np.empty(len(order), np.intp)
    of_row[order] = person[row]
    return replace(sights.select(kept), score=whole), of_row


def merge(frame: Rows, box: Floats, rank: Floats, chain: Rows, max_iou: float) -> Rows:
    """The row [n] that stands for each row: itself, or a better one of its frame it overlaps.

    Rows are sorted by frame. As in non-maximum suppression, rows of a chain first, then best
    `rank` first, earlier rows where it is equal; a row goes to the best of those kept that
    overlap it by more. Two of different chains [n] stay two, -1: of none.
    """
    keeper = np.arange(len(frame))
    for rows in rows_by_frame(frame):
        if len(rows) > 1:
            near = boxes.iou(box[rows], box[rows]) > max_iou
            near &= _may_be_one(chain[rows])
            np.fill_diagonal(near, False)
            if near.any():
                order = np.lexsort((-rank[rows], chain[rows] < 0))  # what is given goes first
                keeper[rows] = rows[_keepers(near, order)]
    return keeper


def _may_be_one(chain: Rows) -> NDArray[np.bool_]:
    """Which pairs [n, n] are not of two different chains."""
    one, other = chain[:, None], chain[None]
    return np.asarray((one < 0) | (other < 0) | (one == other))


def _keepers(near: NDArray[np.bool_], order: Rows) -> Rows:
    """The row that stands for each, taken in this order."""
    keeper = np.full(len(order), -1, np.intp)
    for row in order.tolist():
        if keeper[row] < 0:
            keeper[near[row] & (keeper < 0)] = row
            keeper[row] = row
    return keeper


def longest_missed_gap(track: NDArray[np.int32], frame: Rows, interval: float, most: int) -> int:
    """Keyframes in a row at which somebody is rather missed than away.

    From tracks [p] of the people seen at keyframes [p], `interval` seconds apart.

    Gaps of more than `most` keyframes are no misses.
    """
    order = np.lexsort((frame, track))
    step = np.diff(frame[order])[np.diff(track[order]) == 0]
    count = np.bincount(step[step <= most + 1], minlength=most + 2)[1:]
    k = np.arange(1, most + 1)
    away = AWAY * interval * np.exp(-k * interval / LASTS)
    gaps, seen = np.maximum(count[1:] - away * count[0], 0), float(count[0])
    gaps += COUNTED * (1 - MISSED) * MISSED**k
    seen += COUNTED * (1 - MISSED)
    # Who is missed once is missed again by a chance of its own, as misses may come in bursts.
    again = 1 - gaps.sum() / (gaps @ k)
    missed = gaps.sum() / (gaps.sum() + seen) * (1 - again) * again ** (k - 1)
    return int(np.logical_and.accumulate(missed >= away).sum())
