"""Linking a set of detections by any method, and writing its tubes in any format.

ACT's and mmaction2's methods count frames: keyframes become frames, one each, and frames become
seconds again. Several results are all written, or none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, Keyframes, milliseconds
from stadkit.errors import StadkitError, UsageError
from stadkit.instances import Instances
from stadkit.labels import Labels
from stadkit.linking import Linked, Options, link_by
from stadkit.linking.greedy import link_act, link_mmaction2
from stadkit.readers.detections import DetectionSet
from stadkit.tubes import Tubelets, Tubes

if TYPE_CHECKING:
    from stadkit.files.tube_truth import TubeTruth

FRAMED = ("act", "mmaction2")  # methods that count frames
FORMATS = ("act", "multisports", "gt")
Ints = NDArray[np.int64]


def link_detection_set(
    given: DetectionSet,
    method: str,
    options: dict[str, float],
    rate: float | None,
    size: tuple[int, int] | None,
) -> Linked:
    """Link by a method; `options` are those of "track", `size` height, width of every video.

    Raises UsageError where a method wants what is not known.
    """
    if method not in FRAMED:
        return link_by(method, given.found, given.looked, options=Options(**options))
    if given.raw is not None:
        return _link_raw(given, method)
    known = {video: s for video in given.videos if (s := size or given.facts.sizes.get(video))}
    # mmaction2 can do without, but not with some.
    sizes = known if method == "act" or set(known) == set(given.videos) else None
    if rate is not None:
        return link_by(method, given.found, given.looked, rate=rate, sizes=sizes)
    frames = Frames.of(given.looked, given.found)
    linked = link_by(method, frames.count(given.found), rate=1.0, sizes=sizes)
    return Linked(given.anew().found, frames.seconds(linked.tubes))


def _link_raw(given: DetectionSet, method: str) -> Linked:
    """Pickles as their own code links them: row by row, in pixels, ties in the file's order."""
    sizes, rate = given.facts.sizes, given.rate or 25.0
    if isinstance(given.raw, Tubelets) and method == "act":
        tubes = link_act(given.raw, sizes, rate)
    elif isinstance(given.raw, Instances) and method == "mmaction2":
        tubes = link_mmaction2(given.raw, rate, sizes)
    else:
        other = {"act": "mmaction2", "mmaction2": "act"}[method]
        raise UsageError(f"--method {method}: not of these pickles; --method {other} or track is")
    return Linked(given.found.with_track(np.full(len(given.found), -1, np.int32)), tubes)


def write_pickle(tubes: Tubes, truth: TubeTruth, path: Path, kind: str) -> None:
    """Write the tubes: by video ("act"), by label ("multisports"), or as a GT.pkl ("gt")."""
    from stadkit.files import act, multisports

    if kind == "gt":
        numbered = Labels(tuple(range(1, len(truth.labels) + 1)), truth.labels.names)
        act.write_gt(replace(truth, tubes=tubes, labels=numbered), path)
    else:
        {"act": act, "multisports": multisports}[kind].write_tubes(tubes, truth, path)


def pickle_facts(
    given: DetectionSet, rate: float | None, size: tuple[int, int] | None
) -> TubeTruth:
    """What a pickle needs to be told of the videos: sizes, frames a second, how many frames.

    size: height, width of every video. Raises UsageError that says what is missing.
    """
    from stadkit.files.tube_truth import TubeTruth

    videos = given.videos
    sizes = {v: s for v in videos if (s := size or given.facts.sizes.get(v))}
    if lacks := [video for video in videos if video not in sizes]:
        raise UsageError(
            f"--pickle: is of pixels, and nothing says how large {lacks[0]!r} is; give --size "
            "WxH, a --truth GT.pkl, or the folder of `detect` with its manifest.json"
        )
    rate = rate or given.rate
    if rate is None:
        raise UsageError(
            "--pickle: counts frames, and nothing says how many a second all videos have; "
            "give --rate"
        )
    frames = {video: _frames(given, video, rate) for video in videos}
    return TubeTruth(Tubes.empty(given.labels.names), sizes, frames, rate, given.labels)


def on_frames(tubes: Tubes, rate: float) -> Tubes:
    """The tubes with each time moved to the nearest frame; UsageError where two become one."""
    frame = np.rint(tubes.time * rate)
    same = np.diff(frame) == 0
    same[tubes.start[1:-1] - 1] = False  # from one tube to the next
    if same.any():
        row = int(np.flatnonzero(same)[0])
        a, b = tubes.time[row : row + 2]
        raise UsageError(
            f"--rate {rate:g}: {a:g} s and {b:g} s would be one frame; give the videos' own rate"
        )
    return replace(tubes, time=frame / rate)


def _frames(given: DetectionSet, video: str, rate: float) -> int:
    """How many frames a video has: as is known, at least up to its last keyframe."""
    times = [table.time[table.video == video] for table in (given.looked, given.found)]
    last = max((float(time.max()) for time in times if len(time)), default=0.0)
    return max(given.facts.frames.get(video, 0), round(last * rate) + 1)


def write_together(writers: Mapping[Path, Callable[[Path], None]]) -> None:
    """Have each writer write its file; where one fails, every place is as it was.

    Folders are made. Raises what the writers raise, and StadkitError where a place cannot be
    written to.
    """
    for path in writers:
        path.parent.mkdir(parents=True, exist_ok=True)
    # With the ending of the result: .gz says how it is written.
    unfinished = {path: path.with_name(f".{uuid4().hex}{path.suffix}") for path in writers}
    try:
        for path, write in writers.items():
            _write(write, unfinished[path], path)
        for path, file in unfinished.items():
            os.replace(file, path)
    finally:
        for file in unfinished.values():
            file.unlink(missing_ok=True)


def _write(write: Callable[[Path], None], file: Path, path: Path) -> None:
    """Write a file under another name; errors name it as the user does."""
    try:
        write(file)
    except StadkitError as error:
        raise type(error)(str(error).replace(str(file), str(path))) from error


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
