"""A whole video at once: every row, every keyframe looked at, and how the reading went."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stadkit.detection.detector import Detector, Options, Times, asked_times
from stadkit.detection.hooks import OnQueries, OnTokens, QueryWatch, TokenWatch
from stadkit.detections import Detections, Keyframes
from stadkit.errors import StadkitError
from stadkit.linking.tubelets import join_tubelets
from stadkit.video.check import shown
from stadkit.video.decode import open_video
from stadkit.video.frame import Report, VideoInfo
from stadkit.video.keys import CLOSE

SMALL = 256  # tables put together at once
OnKeyframe = Callable[[float, Detections], None]  # the last time looked at, what was found


@dataclass(frozen=True)
class VideoDetections:
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
    on_queries: OnQueries | None = None,
) -> VideoDetections:
    """Look at a whole video; `on_keyframe(time, table)` is called as each keyframe is done.

    Tubelets are joined where clips share frames: a row a person and frame, a track a person.
    Before that, `on_tokens(clip, kept)` is told which patches the model kept of its clip, or
    `on_queries(clip, person, entry)` the scores and queries of all, below the threshold, too.
    Raises VideoError for a file that cannot be read at all; one that is damaged gives what
    could be decoded, with `options.strict` StadkitError. Raises UsageError for either with a model
    that has none of it.
    """
    options = options or Options()
    watched = _watched(detector, on_tokens, on_queries)
    times: list[Times] = [np.zeros(0)]
    rows = Rows(detector.card.classes.names)
    with watched, open_video(path, options.reader) as video:
        for looked, table in detector.watch(video, options):
            times.append(looked)
            rows.add(table)
            if on_keyframe is not None:
                on_keyframe(float(looked[-1]), table)
        info, report = video.info, video.report
    if options.strict:
        check_whole(info, report)
    asked = asked_times(options, info.path.stem)
    outside = 0 if asked is None else len(asked[slice(*options.part)]) - (len(times) - 1)
    every = np.unique(np.concatenate(times))  # of tubelets frames are looked at more than once
    table = rows.table()
    if detector.card.tubelet:
        table, every = _frame_by_frame(table, every, options)
    keyframes = Keyframes(np.full(len(every), info.path.stem), every)
    return VideoDetections(table, keyframes, info, report, outside)


def check_whole(info: VideoInfo, report: Report) -> None:
    """Raises StadkitError for a video of which only a part could be read."""
    if report.partial:
        # Not a VideoError: that would say that the file is no video.
        raise StadkitError(
            f"{shown(info.path)}: read only in part ({report.reason}), which --strict refuses; "
            "get a whole copy"
        )


def _frame_by_frame(table: Detections, looked: Times, options: Options) -> tuple[Detections, Times]:
    """Tubelets joined over the clips that share frames, and the frames, as far as asked for."""
    end = np.inf if options.duration is None else options.start + options.duration
    table = join_tubelets(table)
    inside = (table.time >= options.start - CLOSE) & (table.time < end - CLOSE)
    seen = (looked >= options.start - CLOSE) & (looked < end - CLOSE)
    return table.select(inside), looked[seen]


def _watched(
    detector: Detector, on_tokens: OnTokens | None, on_queries: OnQueries | None
) -> AbstractContextManager[Any]:
    if on_tokens is not None:
        return TokenWatch(detector, on_tokens)
    # No model has both.
    return nullcontext() if on_queries is None else QueryWatch(detector, on_queries)


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
