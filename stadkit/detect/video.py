"""A whole video at once: every row, every keyframe looked at, and how the reading went."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stadkit.detect.detector import Detector, Options, asked_times
from stadkit.detect.tokens import OnTokens, TokenWatch
from stadkit.detections import Detections, Keyframes
from stadkit.video.decode import open_video
from stadkit.video.frame import Report, VideoInfo

SMALL = 256  # tables put together at once
OnKeyframe = Callable[[float, Detections], None]


@dataclass(frozen=True)
class Found:
    """What was found in a video; `report.partial` says that not all of it could be read."""

    table: Detections
    keyframes: Keyframes
    info: VideoInfo
    report: Report
    outside: int = 0  # key times of `times` or `proposals` that the video does not show


def detect_video(
    detector: Detector,
    path: Path | str,
    options: Options | None = None,
    on_keyframe: OnKeyframe | None = None,
    on_tokens: OnTokens | None = None,
) -> Found:
    """Look at a whole video; `on_keyframe(time, table)` is called as each keyframe is done.

    Before that, `on_tokens(clip, kept)` is told which patches the model kept of its clip.
    Raises VideoError for a file that cannot be read at all; one that is damaged gives what
    could be decoded. Raises UsageError for `on_tokens` with a model that drops none.
    """
    options = options or Options()
    watched = nullcontext() if on_tokens is None else TokenWatch(detector, on_tokens)
    times: list[float] = []
    rows = Rows(detector.card.classes.names)
    with watched, open_video(path, options.reader) as video:
        for time, table in detector.watch(video, options):
            times.append(time)
            rows.add(table)
            if on_keyframe is not None:
                on_keyframe(time, table)
        info, report = video.info, video.report
    keyframes = Keyframes(np.full(len(times), info.path.stem), np.array(times, np.float64))
    asked = asked_times(options, info.path.stem)
    outside = 0 if asked is None else len(asked) - len(times)
    return Found(rows.table(), keyframes, info, report, outside)


class Rows:
    """Many small tables kept as a few large ones: hours of video are some 10,000 keyframes."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._large: list[Detections] = []
        self._small: list[Detections] = []

    def add(self, table: Detections) -> None:
        """One more table; an empty one needs no room."""
        if len(table):
            self._small.append(table)
        if len(self._small) == SMALL:
            self._large.append(Detections.join(self._small, self._classes))
            self._small = []

    def table(self) -> Detections:
        """All rows, in order."""
        return Detections.join([*self._large, *self._small], self._classes)
