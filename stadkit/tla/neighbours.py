"""The labelled keyframes around each frame: the nearest before it and the nearest after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Rows
from stadkit.detections import Keyframes, milliseconds
from stadkit.tla.assignment import Bools, Floats

Cuts = Mapping[str, NDArray[np.float64]]  # video -> seconds of the first frame of each new shot
SPACINGS = 1.5  # of the median one, that a neighbour may be away where nothing is said


@dataclass(frozen=True)
class Around:
    """For frames [f], a place in the labelled keyframes; -1 where there is no neighbour."""

    left: Rows  # [f]
    right: Rows  # [f]
    cut: Bools  # [f]  one would be near enough, were there not a change of shot between


def around(
    frames: Keyframes,
    number: NDArray[np.int64],
    labelled: Keyframes,
    labelled_number: NDArray[np.int64],
    max_gap: float | None,
    cuts: Cuts | None,
) -> Around:
    """The neighbours of frames [f] that are not labelled; both numbered, labelled ones growing."""
    after = np.searchsorted(labelled_number, number)
    sides = np.stack([after - 1, after])  # [2, f]
    inside = (sides >= 0) & (sides < len(labelled))
    if not len(labelled):
        nobody = np.full(len(frames), -1, np.intp)
        return Around(nobody, nobody, np.zeros(len(frames), bool))
    place = sides.clip(0, len(labelled) - 1)
    gap = np.abs(labelled.time[place] - frames.time)
    # Half a millisecond, as frames are the same when times agree to a millisecond.
    near = inside & (labelled.video[place] == frames.video)
    near &= gap <= _reach(frames, labelled, max_gap) + 0.0005
    same = near & (_shots(labelled, cuts)[place] == _shots(frames, cuts))
    left, right = np.where(same, sides, -1)
    return Around(left, right, (near & ~same).any(0))


def spacing(labelled: Keyframes) -> dict[str, float]:
    """Video -> median seconds between its labelled keyframes; of one alone, that of all videos.

    Keyframes by video and time. Where no video has two, 1 s: as AVA is labelled.
    """
    gaps = {video: np.diff(time) for video, time in _times(labelled).items()}
    every = np.concatenate([*gaps.values(), np.zeros(0)])
    common = float(np.median(every)) if len(every) else 1.0
    return {video: float(np.median(gap)) if len(gap) else common for video, gap in gaps.items()}


def _reach(frames: Keyframes, labelled: Keyframes, max_gap: float | None) -> Floats:
    """Seconds [f] that a neighbour may be away."""
    if max_gap is not None:
        return np.full(len(frames), max_gap)
    known = spacing(labelled)
    videos, place = np.unique(frames.video, return_inverse=True)
    return np.array([SPACINGS * known.get(v, 0.0) for v in videos.tolist()])[place]


def _shots(frames: Keyframes, cuts: Cuts | None) -> Rows:
    """The number [f] of each frame's shot in its video."""
    shot = np.zeros(len(frames), np.intp)
    for video in set(frames.video.tolist()) & set(cuts or {}):
        own = np.flatnonzero(frames.video == video)
        starts = np.sort(milliseconds(np.asarray((cuts or {})[video])))
        shot[own] = np.searchsorted(starts, milliseconds(frames.time[own]), side="right")
    return shot


def _times(labelled: Keyframes) -> dict[str, Floats]:
    """Video -> the times of its keyframes."""
    first = np.unique(labelled.video, return_index=True)[1]
    parts = np.split(labelled.time, np.sort(first)[1:])
    names = labelled.video[np.sort(first)].tolist()
    return dict(zip(names, parts, strict=True)) if names else {}
