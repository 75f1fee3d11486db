"""Key times, around which clips are cut: regular, listed, or at every frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice, takewhile
from typing import Literal

import numpy as np

from stadkit.errors import UsageError
from stadkit.video.frame import Frame

CLOSE = 1e-6  # seconds; timestamps and key times closer than this are equal
FRAME: Literal["frame"] = "frame"
Every = float | Literal["frame"]  # seconds between key times, or one at each frame
Part = tuple[int, int | None]  # range [start, end) of the key times, by index
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
    """The frames to feed to cutters, and each cutter's key times, as defined in `clips`.

    reaches: for each cutter, seconds from the start of a clip to its key time.
    """
    if times is None and isinstance(every, str):
        check_times(1.0, start, duration)
        since = _since(frames, start - max(reaches))
        frames, times_ahead = _with_times_ahead(since, len(reaches))
        keys = (_frame_keys(queue, start, duration) for queue in times_ahead)
        return frames, [islice(cutter_keys, *part) for cutter_keys in keys]
    seconds = 1.0 if isinstance(every, str) else every  # unused with `times`
    return frames, [key_times(seconds, start, duration, times, part) for _ in reaches]


def _with_times_ahead(
    frames: Iterator[Frame], readers: int
) -> tuple[Iterator[Frame], list[Iterator[float]]]:
    """The frames, and for each reader an iterator of their times that may run ahead of them.

    A clip begins before its key time, which is only known once that frame is decoded. Frames are
    kept until they are yielded; `tee` would keep some 57 more.
    """
    waiting: deque[Frame] = deque()
    queues: list[deque[float]] = [deque() for _ in range(readers)]

    def read() -> bool:
        frame = next(frames, None)
        if frame is not None:
            waiting.append(frame)
            for queue in queues:
                queue.append(frame.time)
        return frame is not None

    def delayed() -> Iterator[Frame]:
        while waiting or read():
            yield waiting.popleft()

    def times(queue: deque[float]) -> Iterator[float]:
        while queue or read():
            yield queue.popleft()

    return delayed(), [times(queue) for queue in queues]


def _since(frames: Iterable[Frame], time: float) -> Iterator[Frame]:
    """The frames from the last one at or before `time` onwards."""
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
    """The key times of `clips`, not limited to the duration of the video."""
    keys = _sorted_keys(times) if times is not None else _regular_keys(every, start, duration)
    return islice(keys, *part)


def check_times(every: float, start: float, duration: float | None) -> None:
    """Raise UsageError for values that yield no key times."""
    if not every > 0:
        raise UsageError(f"every is {every:g}; give a number of seconds above 0.")
    if not start >= 0:
        raise UsageError(f"start is {start:g}; give 0 or more seconds.")
    if duration is not None and not duration > 0:
        raise UsageError(f"duration is {duration:g}; give a number of seconds above 0.")


def _regular_keys(every: float, start: float, duration: float | None) -> Iterator[float]:
    check_times(every, start, duration)
    end = np.inf if duration is None else start + duration - CLOSE
    # A product, not a running sum: no error grows with the video.
    return takewhile(lambda time: time < end, (start + every * n for n in count()))


def _sorted_keys(times: Iterable[float]) -> Iterator[float]:
    keys = [float(time) for time in times]
    if not np.isfinite(keys).all() or (np.diff(keys) < 0).any():
        raise UsageError("key times must be finite numbers of seconds in ascending order.")
    return iter(keys)
