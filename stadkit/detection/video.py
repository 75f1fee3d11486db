"""Detection in a whole video: all rows, all processed keyframes, and the reading report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stadkit.detection.detector import DetectOptions, Detector, Times, explicit_times
from stadkit.detection.hooks import OnQueries, OnTokens, QueryWatch, TokenWatch
from stadkit.detections import Detections, Keyframes
from stadkit.errors import StadkitError
from stadkit.linking.tubelets import join_tubelets
from stadkit.video.check import shown
from stadkit.video.decode import open_video
from stadkit.video.frame import Report, VideoInfo
from stadkit.video.keys import ALL, CLOSE

TABLES_PER_JOIN = 256
OnKeyframe = Callable[[float, Detections], None]  # the last processed time, its detections


@dataclass(frozen=True)
class VideoDetections:
    """The detections of a video; `report.partial`: not all of it could be read."""

    table: Detections
    keyframes: Keyframes
    info: VideoInfo
    report: Report
    outside: int = 0  # key times of `times` or `proposals` outside the video


def detect_video(
    detector: Detector,
    path: Path | str,
    options: DetectOptions | None = None,
    on_keyframe: OnKeyframe | None = None,
    on_tokens: OnTokens | None = None,
    on_queries: OnQueries | None = None,
) -> VideoDetections:
    """Detect people and actions in a whole video.

    `on_keyframe(time, table)` is called after each keyframe; before it, `on_tokens(clip, kept)`
    with the patches that the model kept, or `on_queries(clip, person, entry)` with the scores and
    queries of all people, also those below the threshold. Tubelets are joined where clips share
    frames: a row per person and frame, a track per person. Raises VideoError for a file that
    cannot be read at all; of a damaged one the readable part is returned or, with
    `options.strict`, StadkitError raised. Raises UsageError for a callback that the model cannot
    serve.
    """
    options = options or DetectOptions()
    hook = _make_hook(detector, on_tokens, on_queries)
    times: list[Times] = [np.zeros(0)]
    rows = Rows(detector.card.classes.names)
    with hook, open_video(path, options.reader) as video:
        for processed, table in detector.watch(video, options):
            times.append(processed)
            rows.add(table)
            if on_keyframe is not None:
                on_keyframe(float(processed[-1]), table)
        info, report = video.info, video.report
    if options.strict:
        check_whole(info, report)
    wanted = explicit_times(options, info.path.stem)
    if wanted is None and len(times) == 1 and options.part == ALL:
        _check_start(options, info)
    outside = 0 if wanted is None else len(wanted[slice(*options.part)]) - (len(times) - 1)
    unique = np.unique(np.concatenate(times))  # tubelets overlap
    table = rows.table()
    if detector.card.tubelet:
        table, unique = _join_tubelets(table, unique, options)
    keyframes = Keyframes(np.full(len(unique), info.path.stem), unique)
    return VideoDetections(table, keyframes, info, report, outside)


def check_whole(info: VideoInfo, report: Report) -> None:
    """Raises StadkitError for a video that could only be read in part."""
    if report.partial:
        # Not a VideoError: that would mean that the file is not a video.
        raise StadkitError(
            f"{shown(info.path)}: read only in part ({report.reason}), which --strict refuses; "
            "get a complete copy"
        )


def _check_start(options: DetectOptions, info: VideoInfo) -> None:
    """Raise StadkitError where the first keyframe would be past the end of the video."""
    if options.start > 0:
        length = "" if info.duration is None else f", of {info.duration:.1f} s,"
        raise StadkitError(
            f"{shown(info.path)}: the video{length} has no frame from {options.start:g} s on; "
            "give a smaller --start"
        )


def _join_tubelets(
    table: Detections, times: Times, options: DetectOptions
) -> tuple[Detections, Times]:
    """Join tubelets of overlapping clips; returns rows and times within start and duration."""
    end = np.inf if options.duration is None else options.start + options.duration
    table = join_tubelets(table)
    inside = (table.time >= options.start - CLOSE) & (table.time < end - CLOSE)
    wanted = (times >= options.start - CLOSE) & (times < end - CLOSE)
    return table.select(inside), times[wanted]


def _make_hook(
    detector: Detector, on_tokens: OnTokens | None, on_queries: OnQueries | None
) -> AbstractContextManager[Any]:
    if on_tokens is not None:
        return TokenWatch(detector, on_tokens)
    # No model has both.
    return nullcontext() if on_queries is None else QueryWatch(detector, on_queries)


class Rows:
    """Collects many small tables as a few large ones: hours of video have some 10,000 keyframes."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._large: list[Detections] = []
        self._small: list[Detections] = []

    def add(self, table: Detections) -> None:
        """Append a table; empty ones are skipped."""
        if len(table):
            self._small.append(table)
        if len(self._small) == TABLES_PER_JOIN:
            self._large.append(Detections.join(self._small, self._classes))
            self._small = []

    def table(self) -> Detections:
        """All rows, in order."""
        return Detections.join([*self._large, *self._small], self._classes)
