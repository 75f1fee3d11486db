"""The neighbours of each frame: the nearest labelled keyframes before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Rows
from stadkit.detections import Keyframes, milliseconds
from stadkit.tla.assignment import Bools, Floats

Cuts = Mapping[str, NDArray[np.float64]]  # video -> seconds of the first frame of each new shot
DEFAULT_GAP_SPACINGS = 1.5  # default maximum distance of a neighbour, in median spacings


@dataclass(frozen=True)
class Neighbours:
    """Indices of labelled keyframes around frames [f]; -1: no neighbour."""

    left: Rows  # [f]
    right: Rows  # [f]
    cut: Bools  # [f]  a neighbour is near enough, but across a shot change


def find_neighbours(
    frames: Keyframes,
    number: NDArray[np.int64],
    labelled: Keyframes,
    labelled_number: NDArray[np.int64],
    max_gap: float | None,
    cuts: Cuts | None,
) -> Neighbours:
    """Find the neighbours of unlabelled frames [f]; labelled numbers must be sorted."""
    after = np.searchsorted(labelled_number, number)
    sides = np.stack([after - 1, after])  # [2, f]
    inside = (sides >= 0) & (sides < len(labelled))
    if not len(labelled):
        no_neighbour = np.full(len(frames), -1, np.intp)
        return Neighbours(no_neighbour, no_neighbour, np.zeros(len(frames), bool))
    place = sides.clip(0, len(labelled) - 1)
    gap = np.abs(labelled.time[place] - frames.time)
    # Tolerance of half a millisecond, as times are equal when they agree to a millisecond.
    near = inside & (labelled.video[place] == frames.video)
    near &= gap <= _max_gaps(frames, labelled, max_gap) + 0.0005
    same = near & (_shots(labelled, cuts)[place] == _shots(frames, cuts))
    left, right = np.where(same, sides, -1)
    return Neighbours(left, right, (near & ~same).any(0))


def spacing(labelled: Keyframes) -> dict[str, float]:
    """Map video to the median seconds between its labelled keyframes, sorted by video and time.

    Videos with one keyframe get the median over all videos; without any pair, 1 s as in AVA.
    """
    gaps = {video: np.diff(time) for video, time in _times(labelled).items()}
    every = np.concatenate([*gaps.values(), np.zeros(0)])
    common = float(np.median(every)) if len(every) else 1.0
    return {video: float(np.median(gap)) if len(gap) else common for video, gap in gaps.items()}


def _max_gaps(frames: Keyframes, labelled: Keyframes, max_gap: float | None) -> Floats:
    """Return the maximum distance [f] of a neighbour, in seconds."""
    if max_gap is not None:
        return np.full(len(frames), max_gap)
    known = spacing(labelled)
    videos, place = np.unique(frames.video, return_inverse=True)
    return np.array([DEFAULT_GAP_SPACINGS * known.get(v, 0.0) for v in videos.tolist()])[place]


def _shots(frames: Keyframes, cuts: Cuts | None) -> Rows:
    """Return the shot number [f] of each frame in its video."""
    shot = np.zeros(len(frames), np.intp)
    for video in set(frames.video.tolist()) & set(cuts or {}):
        rows = np.flatnonzero(frames.video == video)
        starts = np.sort(milliseconds(np.asarray((cuts or {})[video])))
        shot[rows] = np.searchsorted(starts, milliseconds(frames.time[rows]), side="right")
    return shot


def _times(labelled: Keyframes) -> dict[str, Floats]:
    """Map video to the times of its keyframes."""
    first = np.unique(labelled.video, return_index=True)[1]
    parts = np.split(labelled.time, np.sort(first)[1:])
    names = labelled.video[np.sort(first)].tolist()
    return dict(zip(names, parts, strict=True)) if names else {}
