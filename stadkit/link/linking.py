"""From detections to tracks and tubes: who goes on, and what each does from when to when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, Keyframes, milliseconds
from stadkit.link.chains import Sights, chained
from stadkit.link.cut import MOST, cut_tubes, longest_gap
from stadkit.link.kalman import Floats
from stadkit.link.merge import merge
from stadkit.link.missed import longest_miss
from stadkit.link.options import Options
from stadkit.link.people import track_people
from stadkit.link.tracks import Rows, Seen, grids
from stadkit.tubes import Tubes

KEYFRAMES, FARTHEST = 3.0, 10.0  # intervals that a person may be unseen, up to these seconds


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
    missed = longest_miss(track, sights.frame, interval, MOST)
    classes = found.classes
    parts = [cut_tubes(g, video, classes, interval, missed, options) for g in grids(seen, hole)]
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
