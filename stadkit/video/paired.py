"""Clips of two models around the same key times, from one pass over a video."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from stadkit.video.clips import ALL, Clip, Cut, Cutter, Part, key_times
from stadkit.video.frame import Video


def paired(
    video: Video,
    first: Cut,
    second: Cut,
    every: float = 1.0,
    start: float = 0.0,
    duration: float | None = None,
    times: Sequence[float] | None = None,
    part: Part = ALL,
) -> Iterator[tuple[Clip, Clip]]:
    """What `clips` gives for either cut, side by side; frames are decoded once.

    Besides the frames of open clips, memory holds the clips of one cut that wait for the other's.
    """
    keys = [key_times(every, start, duration, times, part) for _ in range(2)]
    cutters = [Cutter(video, cut, own) for cut, own in zip((first, second), keys, strict=True)]
    lines: list[deque[Clip]] = [deque(), deque()]
    for frame in video:
        for cutter, line in zip(cutters, lines, strict=True):
            line.extend(cutter.feed(frame))
        yield from _whole(lines)
        if all(cutter.done for cutter in cutters):
            return
    for cutter, line in zip(cutters, lines, strict=True):
        line.extend(cutter.finish())
    yield from _whole(lines)


def _whole(lines: Sequence[deque[Clip]]) -> Iterator[tuple[Clip, Clip]]:
    """The pairs that are whole, taken out."""
    ours, theirs = lines
    while ours and theirs:
        yield ours.popleft(), theirs.popleft()
