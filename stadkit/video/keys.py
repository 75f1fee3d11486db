"""Key times, around which clips are cut: steps, given times, or those of the frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice, takewhile
from typing import Literal

import numpy as np

from stadkit.errors import UsageError
from stadkit.video.frame import Frame

CLOSE = 1e-6  # seconds; stamps and key times this near are the same
FRAME: Literal["frame"] = "frame"
Every = float | Literal["frame"]  # seconds between key times, or a key time at each frame
Part = tuple[int, int | None]  # the first of some key times, from 0, and the one after the last
ALL: Part = (0, None)


def keyed(
    frames: Iterable[Frame],
    reaches: Sequence[float],
    every: Every,
    start: float,
    duration: float | None,
    times: Iterable[float] | None,
    part: Part = ALL,
) -> tuple[Iterable[Frame], list[Iterator[float]]]:
    """The frames to feed to cutters, and the key times of each cutter, as `clips` says them.

    reaches: seconds before its key time at which a cutter's clips begin.
    """
    if times is None and isinstance(every, str):
        check_times(1.0, start, duration)
        since = _since(frames, start - max(reaches))
        frames, times_ahead = _with_times_ahead(since, len(reaches))
        keys = (_frame_keys(own, start, duration) for own in times_ahead)
        return frames, [islice(own, *part) for own in keys]
    seconds = 1.0 if isinstance(every, str) else every  # of no use where times are given
    return frames, [key_times(seconds, start, duration, times, part) for _ in reaches]


def _with_times_ahead(
    frames: Iterator[Frame], readers: int
) -> tuple[Iterator[Frame], list[Iterator[float]]]:
    """The frames, and their times for each of some readers, who may run ahead of the frames.

    A clip begins before its key time, which is known when that frame is there. Frames wait only
    for being given; `tee` would keep some 57 more.
    """
    waiting: deque[Frame] = deque()
    lines: list[deque[float]] = [deque() for _ in range(readers)]

    def read() -> bool:
        frame = next(frames, None)
        if frame is not None:
            waiting.append(frame)
            for line in lines:
                line.append(frame.time)
        return frame is not None

    def given() -> Iterator[Frame]:
        while waiting or read():
            yield waiting.popleft()

    def times(line: deque[float]) -> Iterator[float]:
        while line or read():
            yield line.popleft()

    return given(), [times(line) for line in lines]


def _since(frames: Iterable[Frame], time: float) -> Iterator[Frame]:
    """The frames from the last one at or before this time on."""
    before: Frame | None = None
    for frame in frames:
        if frame.time > time + CLOSE:
            if before is not None:
                yield before
                before = None
            yield frame
        else:
            before = frame
    if before is not None:
        yield before


def _frame_keys(times: Iterator[float], start: float, duration: float | None) -> Iterator[float]:
    end = np.inf if duration is None else start + duration - CLOSE
    before = takewhile(lambda time: time < end, times)
    return (time for time in before if time >= start - CLOSE)


def key_times(
    every: float,
    start: float,
    duration: float | None,
    times: Iterable[float] | None,
    part: Part = ALL,
) -> Iterator[float]:
    """The key times that `clips` cuts around, as far as the video goes."""
    keys = _sorted_keys(times) if times is not None else _regular_keys(every, start, duration)
    return islice(keys, *part)


def check_times(every: float, start: float, duration: float | None) -> None:
    """Raises UsageError for numbers of seconds that give no key times."""
    if not every > 0 or not start >= 0 or (duration is not None and not duration > 0):
        raise UsageError(
            f"cannot cut clips every {every} s from {start} s for {duration} s; "
            "every and duration are above 0, start is 0 or more."
        )


def _regular_keys(every: float, start: float, duration: float | None) -> Iterator[float]:
    check_times(every, start, duration)
    end = np.inf if duration is None else start + duration - CLOSE
    # A product, not a running sum: no error grows with the video.
    return takewhile(lambda time: time < end, (start + every * n for n in count()))


def _sorted_keys(times: Iterable[float]) -> Iterator[float]:
    keys = [float(time) for time in times]
    if not np.isfinite(keys).all() or (np.diff(keys) < 0).any():
        raise UsageError("key times must be finite numbers of seconds in rising order.")
    return iter(keys)
