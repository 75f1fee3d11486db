"""Keyframes as frames, for methods that count frames: one a keyframe, however far apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, Keyframes, milliseconds
from stadkit.tubes import Tubes

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Frames:
    """The keyframes of all videos in order, each with its number, from 0 in each video."""

    names: NDArray[np.str_]  # [v]  videos
    video: Ints  # [k]  which one
    time: NDArray[np.float64]  # [k]  seconds
    number: Ints  # [k]
    row: Ints  # [n]  the keyframe of each row of the detections

    @classmethod
    def of(cls, looked: Keyframes, found: Detections) -> Frames:
        """Count what was looked at or has rows.

        A gap is as many frames as it is times the usual gap of its video. Counting from one
        keyframe to the next, times of whole milliseconds do not add up to a wrong frame.
        """
        names, of = np.unique(np.concatenate([looked.video, found.video]), return_inverse=True)
        ms = milliseconds(np.concatenate([looked.time, found.time]))
        low, high = (ms.min(), ms.max()) if len(ms) else (0, 0)
        span = high - low + 1
        keyframe, row = np.unique(of * span + ms - low, return_inverse=True)
        video, past = np.divmod(keyframe, span)
        cuts = np.flatnonzero(np.diff(video)) + 1
        parts = [_numbers(part) for part in np.split(past, cuts)]
        return cls(names, video, (past + low) / 1000, np.concatenate(parts), row[len(looked) :])

    def count(self, found: Detections) -> Detections:
        """The detections that were given, at frames for seconds."""
        return replace(found, time=self.number[self.row].astype(np.float64))

    def seconds(self, tubes: Tubes) -> Tubes:
        """Tubes at frames, all of them keyframes, at their seconds again."""
        span = int(self.number.max(initial=0)) + 1
        video = np.searchsorted(self.names, tubes.video)[tubes.owner]
        frame = np.rint(tubes.time).astype(np.int64)
        at = np.searchsorted(self.video * span + self.number, video * span + frame)
        return replace(tubes, time=self.time[at])


def _numbers(ms: Ints) -> Ints:
    """The number [k] of each keyframe of one video, whose milliseconds [k] go up."""
    gap = np.diff(ms)
    if len(gap):
        # The mean of what is one frame: of 33 and 34 ms neither alone is 30 a second.
        frame = np.mean(gap[gap < 1.5 * np.median(gap)])
        gap = np.rint(gap / frame).clip(1).astype(np.int64)
    return np.append(0, np.cumsum(gap))[: len(ms)]
