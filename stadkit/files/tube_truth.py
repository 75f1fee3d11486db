"""What a data set of tubes says of its videos: true tubes, sizes, lengths, classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stadkit.claims import Claims
from stadkit.detections import Keyframes
from stadkit.labels import Labels
from stadkit.tubes import Tubes


@dataclass(frozen=True)
class TubeTruth:
    """Chosen videos of a data set and their true tubes; raises ValueError where not as said.

    The order of `frames` is the data set's own: detections count videos by it, from 0. Frame f,
    counted from 1, is at (f - 1) / rate seconds.
    """

    tubes: Tubes
    sizes: dict[str, tuple[int, int]]  # height, width in pixels
    frames: dict[str, int]  # how many each video has
    rate: float  # frames a second
    labels: Labels
    numbered: bool = True  # detections may name videos by their place in `frames`

    def __post_init__(self) -> None:
        if self.tubes.classes != self.labels.names:
            raise ValueError("TubeTruth.tubes.classes are not the labels' names")
        seen = set(self.tubes.video.tolist())
        if set(self.sizes) != set(self.frames) or not seen <= set(self.frames):
            raise ValueError("TubeTruth.sizes, frames and tubes are not of the same videos")
        if not self.rate > 0 or any(count < 0 for count in self.frames.values()):
            raise ValueError("TubeTruth.rate and frames want numbers above 0")
        if any(min(size) < 1 for size in self.sizes.values()):
            raise ValueError("TubeTruth.sizes wants height and width from 1 up")

    @property
    def videos(self) -> tuple[str, ...]:
        """The videos in the data set's order."""
        return tuple(self.frames)

    def keyframes(self) -> Keyframes:
        """Every frame of every video."""
        counts = list(self.frames.values())
        video = np.repeat(np.array(self.videos, np.str_), counts)
        time = [np.arange(count) / self.rate for count in counts]
        return Keyframes(video, np.concatenate([np.zeros(0), *time]))


def frame_claims(tubes: Tubes) -> Claims:
    """A row a box, in the tubes' order: the label of its tube, the box's own score."""
    videos, video = np.unique(tubes.video, return_inverse=True)
    return Claims(
        videos=tuple(videos.tolist()),
        video=video.astype(np.int32)[tubes.owner],
        time=tubes.time,
        box=tubes.box,
        label=tubes.label[tubes.owner],
        score=tubes.box_score,
        classes=tubes.classes,
    )
