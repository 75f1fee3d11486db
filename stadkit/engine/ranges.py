"""A long video as ranges of keyframes, for several workers; their results as those of one.

A range is decoded from the start of the video on, as a reader never seeks: what is decoded before
it is not resized or looked at. Ranges are whole batches, so that the same clips go through the
model together as if the video was not split, and the numbers are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stadkit.detect import Found
from stadkit.detect.detector import asked_times
from stadkit.detect.video import check_whole
from stadkit.detections import Detections, Keyframes
from stadkit.engine.work import Looked, Work
from stadkit.errors import StadkitError, VideoError
from stadkit.video.decode import probe
from stadkit.video.keys import ALL, FRAME

LONG = 200  # keyframes of a range at least; a shorter video is decoded twice for too little


def split(work: Work, every: float, batch: int, most: int, long: int = LONG) -> list[Work]:
    """The work in at most so many ranges of `long` keyframes or more; all of it as one where its
    length is not known. `every`, `batch`: seconds and clips where its options do not say."""
    batch = work.options.batch or batch
    ranges = min(most, _keyframes(work, every) // max(long, 1))
    if ranges < 2:
        return [work]
    count = _keyframes(work, every)
    size = -(-count // (ranges * batch)) * batch
    starts = range(0, count, size)
    # The last one has no end: a file may be longer than it says.
    parts = [(at, at + size if at + size < count else None) for at in starts]
    # Strict is to be said of the whole, as `join` does.
    options = [replace(work.options, part=part, strict=False) for part in parts]
    return [replace(work, options=each) for each in options]


def _keyframes(work: Work, every: float) -> int:
    """How many keyframes there will be, by what the file says of itself; 0: not known."""
    options = work.options
    if options.part != ALL:
        return 0
    if options.every == FRAME:
        return 0  # how many frames there are is known when they have been read
    times = asked_times(options, work.path.stem)
    if times is not None:
        return len(times)
    try:
        length = probe(work.path).duration
    except (VideoError, OSError):
        return 0  # told where the video is looked at
    if length is None:
        return 0
    if options.duration is not None:
        length = min(length, options.start + options.duration)
    return max(0, int(np.ceil((length - options.start) / (options.every or every))))


def join(parts: Sequence[Looked], strict: bool) -> Looked:
    """What the ranges of a video gave, in order, as one; the first error counts."""
    seconds = sum(part.seconds for part in parts)
    if len(parts) == 1:
        return parts[0]
    try:
        found = _joined([part.result() for part in parts])
        if strict:
            check_whole(found.info, found.report)
    except (StadkitError, OSError) as error:
        return Looked(None, error, seconds)
    fewest = min((part.batch for part in parts if part.batch), default=None)
    return Looked(found, None, seconds, fewest)


def _joined(parts: Sequence[Found]) -> Found:
    """The last range was read to the end, so that its report is of the whole."""
    looked = [part.keyframes for part in parts]
    return Found(
        table=Detections.join([part.table for part in parts], parts[0].table.classes),
        keyframes=Keyframes(
            np.concatenate([each.video for each in looked]),
            np.concatenate([each.time for each in looked]),
        ),
        info=parts[0].info,
        report=parts[-1].report,
        outside=sum(part.outside for part in parts),
    )
