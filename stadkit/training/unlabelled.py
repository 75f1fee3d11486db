"""Clips between labelled keyframes, each with the people of the keyframes around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Keyframes, milliseconds, number_frames
from stadkit.errors import UsageError
from stadkit.tla.neighbours import around, spacing
from stadkit.training.config import AnnotatedSource
from stadkit.training.semi_config import SemiConfig
from stadkit.training.sources import Annotated, Example


class Unlabelled:
    """Examples whose boxes and actions are candidates: those of the nearest labelled keyframe
    before and of the nearest after, in this order (line 2 of Algorithm 1).

    A neighbour that is missing, or too far away, has none. Past the end of a video its last frame
    stands still.
    """

    def __init__(self, source: Annotated, data: AnnotatedSource, semi: SemiConfig) -> None:
        """Raises UsageError where truth leaves no time between keyframes."""
        self.labels = source.labels
        self._source, self._past = source, semi.offset[1]
        self._frames = _between(source.keys, data, semi)
        number, labelled = number_frames(self._frames, source.keys)
        sides = around(self._frames, number, source.keys, labelled, semi.max_gap, None)
        self._sides = np.stack([sides.left, sides.right], 1).tolist()

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Example:
        clip = self._source.clip(self._frames, index, self._past)
        truth, rows = self._source.truth, self._source.rows
        sides = [rows[side] for side in self._sides[index] if side >= 0]
        pool = np.concatenate([np.zeros(0, np.int64), *sides])
        near = self._source.near(clip)
        return Example(clip=clip, box=truth.box[pool], action=truth.action[pool], near=near)


def _between(keys: Keyframes, data: AnnotatedSource, semi: SemiConfig) -> Keyframes:
    """`places` times around each keyframe, `offset` away, in turn before and after.

    The same ones in every epoch and run, so that clips are cut once. Without those before the
    first frame, and those that are labelled.
    """
    usual = float(np.median(list(spacing(keys).values())))
    if usual <= semi.offset[0]:
        raise UsageError(
            f"semi.offset: {semi.offset[0]:.3g} s from a labelled keyframe is at the next one: "
            f"{data.truth} has one each {usual:.3g} s; give offsets below that"
        )
    away = np.random.default_rng(0).uniform(*semi.offset, (len(keys), semi.places))
    turn = np.add.outer(np.arange(len(keys)), np.arange(semi.places)) % 2
    time = (keys.time[:, None] + np.where(turn == 1, -away, away)).round(3).ravel()
    video = np.repeat(keys.video, semi.places)
    kept = (time >= data.offset) & ~_labelled(video, time, keys)
    if not kept.any():
        raise UsageError(f"{data.truth}: no time that is semi.offset from a keyframe is unlabelled")
    return Keyframes(video[kept], time[kept])


def _labelled(
    video: NDArray[np.str_], time: NDArray[np.float64], keys: Keyframes
) -> NDArray[np.bool_]:
    seen = set(zip(keys.video.tolist(), milliseconds(keys.time).tolist(), strict=True))
    asked = zip(video.tolist(), milliseconds(time).tolist(), strict=True)
    return np.array([pair in seen for pair in asked], np.bool_)
