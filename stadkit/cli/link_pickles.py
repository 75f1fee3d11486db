"""Tubes -> pickles that other evaluations read, in frames and pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stadkit.cli.link_inputs import Given
from stadkit.errors import UsageError
from stadkit.labels import Labels
from stadkit.tubes import Tubes

if TYPE_CHECKING:
    from stadkit.files.tube_truth import TubeTruth

FORMATS = ("act", "multisports", "gt")


def write_pickle(tubes: Tubes, truth: TubeTruth, path: Path, kind: str) -> None:
    """Write the tubes: by video ("act"), by label ("multisports"), or as a GT.pkl ("gt")."""
    from stadkit.files import act, multisports

    if kind == "gt":
        numbered = Labels(tuple(range(1, len(truth.labels) + 1)), truth.labels.names)
        act.write_gt(replace(truth, tubes=tubes, labels=numbered), path)
    else:
        {"act": act, "multisports": multisports}[kind].write_tubes(tubes, truth, path)


def about(given: Given, rate: float | None, size: tuple[int, int] | None) -> TubeTruth:
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


def _frames(given: Given, video: str, rate: float) -> int:
    """How many frames a video has: as is known, at least up to its last keyframe."""
    times = [table.time[table.video == video] for table in (given.looked, given.found)]
    last = max((float(time.max()) for time in times if len(time)), default=0.0)
    return max(given.facts.frames.get(video, 0), round(last * rate) + 1)
