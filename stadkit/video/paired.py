"""Clips of two models around the same key times, from one pass over a video."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from stadkit.video.clips import Clip, Cut, Cutter
from stadkit.video.frame import Video
from stadkit.video.keys import ALL, Every, Part, keyed


def paired(
    video: Video,
    first: Cut,
    second: Cut,
    every: Every = 1.0,
    start: float = 0.0,
    duration: float | None = None,
    times: Sequence[float] | None = None,
    part: Part = ALL,
) -> Iterator[tuple[Clip, Clip]]:
    """What `clips` gives for either cut, side by side; frames are decoded once.

    Besides the frames of open clips, memory holds the clips of one cut that wait for the other's.
    """
    cuts = first, second
    frames, keys = keyed(video, [cut.reach for cut in cuts], every, start, duration, times, part)
    cutters = [Cutter(video, cut, own) for cut, own in zip(cuts, keys, strict=True)]
    lines: list[deque[Clip]] = [deque(), deque()]
    for frame in frames:
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
