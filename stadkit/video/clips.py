"""Clips: the frames around a key time, cut in seconds from one sequential pass.

Clips of two models around the same key times, from one pass over a video.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from stadkit.video.frame import Frame, Pixels, Video
from stadkit.video.keys import ALL, CLOSE, Every, Part, keyed
from stadkit.video.resize import Resizing, resized, resized_shape


@dataclass(frozen=True)
class Clip:
    """What a model looks at around one key time; raises ValueError where it is not as said."""

    video: str  # file stem
    pixels: NDArray[np.uint8]  # [T, H, W, 3]  RGB, upright, resized
    time: float  # seconds from the start: the key time asked for
    times: NDArray[np.float64]  # [T]  seconds of the frames taken; edges repeat
    size: tuple[int, int]  # (height, width) of the displayed frame before resizing

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if len(shape) != 4 or shape[3] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(
                f"Clip.pixels is {self.pixels.dtype} {shape}, wants uint8 [T, H, W, 3]"
            )
        if self.times.shape != shape[:1]:
            raise ValueError(f"Clip.times has shape {self.times.shape}, wants {shape[:1]}")


@dataclass(frozen=True)
class Cut:
    """How a model wants its clips; raises ValueError where a number makes no sense."""

    frames: int  # T
    stride: float  # seconds between frames
    key: int  # which frame is the keyframe, from 0
    short_side: int  # pixels
    resize: Resizing = "area"  # how frames shrink
    long_side: int = 0  # pixels at most; 0: 8 short sides
    past: float = 0.0  # seconds after the last frame where a key time may still lie

    def __post_init__(self) -> None:
        if self.frames < 1 or not 0 <= self.key < self.frames:
            raise ValueError(
                f"Cut.key is {self.key} of {self.frames} frames, wants 0 <= key < frames"
            )
        if not self.stride > 0 or self.short_side < 1:
            raise ValueError(f"Cut has stride {self.stride} and short side {self.short_side}")
        if self.resize not in get_args(Resizing) or self.long_side < 0:
            raise ValueError(f"Cut has resize {self.resize!r} and long side {self.long_side}")

    @property
    def reach(self) -> float:
        """Seconds before its key time at which a clip begins."""
        return self.key * self.stride

    def shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) that a frame of this (height, width) gets."""
        return resized_shape(size, self.short_side, self.long_side)


def clips(
    video: Video,
    cut: Cut,
    every: Every = 1.0,
    start: float = 0.0,
    duration: float | None = None,
    times: Iterable[float] | None = None,
    part: Part = ALL,
) -> Iterator[Clip]:
    """Clips around key times, in order, each as soon as its last frame is decoded; one pass.

    Key times are start, start + every, ... (seconds) before start + duration, with `every` "frame"
    the times of the frames there, or `times` (sorted); of these only a `part`. Those more than half
    a frame outside the video (and `cut.past`), or between two recordings in it where no picture is,
    give no clip. Frame i of a clip is the one nearest to key time + (i - key) * stride, the earlier
    of two; before the first and after the last frame those repeat. Each frame is resized at most
    once, and only if a clip wants it; memory is that of the frames of the clips still open, with
    "frame" also of those before a key. Raises UsageError for wrong times.
    """
    frames, (keys,) = keyed(video, [cut.reach], every, start, duration, times, part)
    return _cut(video, cut, frames, keys)


@dataclass
class _Open:
    """A clip whose frames are still coming."""

    key: float
    wanted: deque[float]  # seconds of the frames still to come
    pixels: list[Pixels] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


class _Small:
    """A frame that is resized when first wanted, and once."""

    def __init__(self, frame: Frame, shape: tuple[int, int], how: Resizing) -> None:
        self.time = frame.time
        self._frame, self._shape, self._how = frame, shape, how
        self._pixels: Pixels | None = None

    @property
    def pixels(self) -> Pixels:
        if self._pixels is None:
            self._pixels = self._resized()
        return self._pixels

    def _resized(self) -> Pixels:
        if self._how == "area":  # as readers do, in one step
            return self._frame.rgb(*self._shape)
        return resized(self._frame.rgb(), *self._shape, self._how)


class Cutter:
    """The clips still open, oldest first; all want frames at the same offsets from their key."""

    def __init__(self, video: Video, cut: Cut, keys: Iterator[float]) -> None:
        self._stem = video.info.path.stem
        self._size = (video.info.height, video.info.width)
        self._shape, self._how = cut.shape(self._size), cut.resize
        self._half = 0.5 / video.info.rate  # half a frame, in seconds
        self._past = self._half + cut.past
        self._offsets = (np.arange(cut.frames) - cut.key) * cut.stride  # [T]  seconds from the key
        # Seconds without a picture that no clip may span.
        self._longest = float(self._offsets[-1] - self._offsets[0]) + 2 * self._half
        self._keys = keys
        self._ahead = next(keys, None)  # the first key time without an open clip
        self._open: deque[_Open] = deque()
        self._before: _Small | None = None

    @property
    def done(self) -> bool:
        return self._ahead is None and not self._open

    def feed(self, frame: Frame) -> Iterator[Clip]:
        """The clips that this frame completes."""
        now = _Small(frame, self._shape, self._how)
        if frame.anew and self._before and now.time - self._before.time > self._longest:
            yield from self.finish(self._half)
            self._skip(now.time - self._half)
        before = self._before or now
        for clip in self._open:
            _fill(clip, before, now)
        yield from self._completed()
        while self._ahead is not None and self._ahead + self._offsets[0] <= now.time + CLOSE:
            if self._ahead >= -self._half:
                _fill(self._start(self._ahead), before, now)
                yield from self._completed()  # at once: a long pause holds many key times
            self._ahead = next(self._keys, None)
        self._before = now

    def finish(self, past: float | None = None) -> Iterator[Clip]:
        """The clips that the end of the video, or of a recording in it, cuts short, their last
        frame repeated; key times may lie `past` seconds after it."""
        last, past = self._before, self._past if past is None else past
        while last is not None and self._next_inside(last.time + past):
            clip = self._open.popleft()
            _repeat(clip, last)
            yield self._close(clip)

    def _skip(self, time: float) -> None:
        """Leave out the key times before this one: there is no picture."""
        self._before = None
        self._open = deque(clip for clip in self._open if clip.key >= time)
        while self._ahead is not None and self._ahead < time:
            self._ahead = next(self._keys, None)

    def _next_inside(self, end: float) -> bool:
        if not self._open and self._ahead is not None:
            self._start(self._ahead)
            self._ahead = next(self._keys, None)
        return bool(self._open) and self._open[0].key <= end

    def _start(self, key: float) -> _Open:
        self._open.append(_Open(key, deque((key + self._offsets).tolist())))
        return self._open[-1]

    def _completed(self) -> Iterator[Clip]:
        while self._open and not self._open[0].wanted:
            yield self._close(self._open.popleft())

    def _close(self, clip: _Open) -> Clip:
        pixels = np.stack(clip.pixels)
        return Clip(self._stem, pixels, clip.key, np.array(clip.times), self._size)


def _cut(video: Video, cut: Cut, frames: Iterable[Frame], keys: Iterator[float]) -> Iterator[Clip]:
    cutter = Cutter(video, cut, keys)
    for frame in frames:
        yield from cutter.feed(frame)
        if cutter.done:
            return
    yield from cutter.finish()


def _fill(clip: _Open, before: _Small, now: _Small) -> None:
    """Takes what the clip wants up to now, from the nearer of two neighbouring frames."""
    while clip.wanted and clip.wanted[0] <= now.time + CLOSE:
        wanted = clip.wanted.popleft()
        earlier = wanted - before.time <= now.time - wanted + CLOSE
        _take(clip, before if earlier else now)


def _repeat(clip: _Open, last: _Small) -> None:
    while clip.wanted:
        clip.wanted.popleft()
        _take(clip, last)


def _take(clip: _Open, frame: _Small) -> None:
    clip.pixels.append(frame.pixels)
    clip.times.append(frame.time)


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
