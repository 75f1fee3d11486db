"""Link a set of detections by any method, and write the tubes in any format.

ACT's and mmaction2's methods count frames: seconds are converted to keyframe numbers and back.
Several outputs are written all or none.
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
from stadkit.linking import Linked, LinkOptions, link_by
from stadkit.linking.greedy import link_act, link_mmaction2
from stadkit.readers.detections import DetectionSet
from stadkit.tubes import Tubelets, Tubes

if TYPE_CHECKING:
    from stadkit.files.tube_truth import TubeTruth

FRAME_METHODS = ("act", "mmaction2")  # methods that count frames
FORMATS = ("act", "multisports", "gt")
Ints = NDArray[np.int64]


def link_detection_set(
    detections: DetectionSet,
    method: str,
    options: dict[str, float],
    rate: float | None,
    size: tuple[int, int] | None,
) -> Linked:
    """Link by a method; `options`: those of "track", `size`: height, width of every video.

    Raises UsageError if a fact that the method needs is unknown.
    """
    found, keyframes = detections.found, detections.keyframes
    if method not in FRAME_METHODS:
        return link_by(method, found, keyframes, options=LinkOptions(**options))
    if detections.raw is not None:
        return _link_raw(detections, method)
    videos, facts = detections.videos, detections.facts
    known = {video: s for video in videos if (s := size or facts.sizes.get(video))}
    # mmaction2 works without sizes, but not with some of them.
    sizes = known if method == "act" or set(known) == set(videos) else None
    if rate is not None:
        return link_by(method, found, keyframes, rate=rate, sizes=sizes)
    frames = KeyframeNumbers.of(keyframes, found)
    linked = link_by(method, frames.to_frames(found), rate=1.0, sizes=sizes)
    return Linked(detections.without_tracks().found, frames.to_seconds(linked.tubes))


def _link_raw(detections: DetectionSet, method: str) -> Linked:
    """Link pickles as the original code does: row by row, in pixels, ties in file order."""
    sizes, rate = detections.facts.sizes, detections.rate or 25.0
    if isinstance(detections.raw, Tubelets) and method == "act":
        tubes = link_act(detections.raw, sizes, rate)
    elif isinstance(detections.raw, Instances) and method == "mmaction2":
        tubes = link_mmaction2(detections.raw, rate, sizes)
    else:
        other = {"act": "mmaction2", "mmaction2": "act"}[method]
        raise UsageError(f"--method {method}: not for these pickles; use --method {other} or track")
    return Linked(detections.without_tracks().found, tubes)


def write_pickle(tubes: Tubes, truth: TubeTruth, path: Path, kind: str) -> None:
    """Write the tubes: by video ("act"), by label ("multisports"), or as a GT.pkl ("gt")."""
    from stadkit.files import act, multisports

    if kind == "gt":
        numbered = Labels(tuple(range(1, len(truth.labels) + 1)), truth.labels.names)
        act.write_gt(replace(truth, tubes=tubes, labels=numbered), path)
    else:
        {"act": act, "multisports": multisports}[kind].write_tubes(tubes, truth, path)


def pickle_facts(
    detections: DetectionSet, rate: float | None, size: tuple[int, int] | None
) -> TubeTruth:
    """The sizes, frame rate and frame counts of the videos, which a pickle contains.

    size: height, width of every video. Raises UsageError naming what is missing.
    """
    from stadkit.files.tube_truth import TubeTruth

    videos = detections.videos
    sizes = {v: s for v in videos if (s := size or detections.facts.sizes.get(v))}
    if missing := [video for video in videos if video not in sizes]:
        raise UsageError(
            f"--pickle: needs pixels, but the size of {missing[0]!r} is unknown; give --size WxH, "
            "a --truth GT.pkl, or the folder of `detect` with its manifest.json"
        )
    rate = rate or detections.rate
    if rate is None:
        raise UsageError(
            "--pickle: counts frames, but a frame rate common to all videos is unknown; give --rate"
        )
    frames = {video: _frame_count(detections, video, rate) for video in videos}
    return TubeTruth(Tubes.empty(detections.labels.names), sizes, frames, rate, detections.labels)


def on_frames(tubes: Tubes, rate: float) -> Tubes:
    """Round each time to the nearest frame; raises UsageError if two fall on one frame."""
    frame = np.rint(tubes.time * rate)
    same = np.diff(frame) == 0
    same[tubes.start[1:-1] - 1] = False  # between tubes
    if same.any():
        row = int(np.flatnonzero(same)[0])
        a, b = tubes.time[row : row + 2]
        raise UsageError(
            f"--rate {rate:g}: {a:g} s and {b:g} s fall on one frame; give the videos' own rate"
        )
    return replace(tubes, time=frame / rate)


def _frame_count(detections: DetectionSet, video: str, rate: float) -> int:
    """The known frame count of a video, at least up to its last keyframe."""
    tables = detections.keyframes, detections.found
    times = [table.time[table.video == video] for table in tables]
    last = max((float(time.max()) for time in times if len(time)), default=0.0)
    return max(detections.facts.frames.get(video, 0), round(last * rate) + 1)


def write_together(writers: Mapping[Path, Callable[[Path], None]]) -> None:
    """Call each writer with its file; if one fails, no file is changed.

    Folders are made. Raises what the writers raise, and StadkitError if a path cannot be written.
    """
    for path in writers:
        path.parent.mkdir(parents=True, exist_ok=True)
    # With the suffix of the result: .gz selects compression.
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
    """Write a file under a temporary name; errors use the final one."""
    try:
        write(file)
    except StadkitError as error:
        raise type(error)(str(error).replace(str(file), str(path))) from error


@dataclass(frozen=True)
class KeyframeNumbers:
    """The keyframes of all videos in order, numbered from 0 in each video."""

    names: NDArray[np.str_]  # [v]  videos
    video: Ints  # [k]  index into names
    time: NDArray[np.float64]  # [k]  seconds
    number: Ints  # [k]
    row: Ints  # [n]  keyframe of each row of the detections

    @classmethod
    def of(cls, keyframes: Keyframes, found: Detections) -> KeyframeNumbers:
        """Number all times that were processed or have rows.

        A gap counts as the multiple of its video's usual gap to which it is closest. Counting
        from keyframe to keyframe, rounding to milliseconds does not accumulate to a wrong frame.
        """
        videos = np.concatenate([keyframes.video, found.video])
        names, index = np.unique(videos, return_inverse=True)
        ms = milliseconds(np.concatenate([keyframes.time, found.time]))
        low, high = (ms.min(), ms.max()) if len(ms) else (0, 0)
        span = high - low + 1
        keyframe, row = np.unique(index * span + ms - low, return_inverse=True)
        video, offset = np.divmod(keyframe, span)
        cuts = np.flatnonzero(np.diff(video)) + 1
        number = np.concatenate([_numbers(part) for part in np.split(offset, cuts)])
        return cls(names, video, (offset + low) / 1000, number, row[len(keyframes) :])

    def to_frames(self, found: Detections) -> Detections:
        """The detections passed to `of`, with frame numbers as times."""
        return replace(found, time=self.number[self.row].astype(np.float64))

    def to_seconds(self, tubes: Tubes) -> Tubes:
        """Convert tubes from frame numbers, all of them keyframes, to seconds."""
        span = int(self.number.max(initial=0)) + 1
        video = np.searchsorted(self.names, tubes.video)[tubes.owner]
        frame = np.rint(tubes.time).astype(np.int64)
        at = np.searchsorted(self.video * span + self.number, video * span + frame)
        return replace(tubes, time=self.time[at])


def _numbers(ms: Ints) -> Ints:
    """The number [k] of each keyframe of one video, from its increasing milliseconds [k]."""
    gap = np.diff(ms)
    if len(gap):
        # The mean of one-frame gaps: at 30 per second these are 33 and 34 ms.
        frame = np.mean(gap[gap < 1.5 * np.median(gap)])
        gap = np.rint(gap / frame).clip(1).astype(np.int64)
    return np.append(0, np.cumsum(gap))[: len(ms)]
