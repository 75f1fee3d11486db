"""Clips: the frames around key times, in seconds, cut in one sequential pass over a video.

One pass can also serve two models that need different clips at the same key times.
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
    """A model's input around one key time; raises ValueError for wrong shapes or dtypes."""

    video: str  # file stem
    pixels: NDArray[np.uint8]  # [T, H, W, 3]  RGB, upright, resized
    time: float  # seconds from the start: the requested key time
    times: NDArray[np.float64]  # [T]  seconds of the selected frames; edge frames repeat
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
    """A model's clip specification; raises ValueError for invalid values."""

    frames: int  # T
    stride: float  # seconds between frames
    key: int  # index of the keyframe
    short_side: int  # pixels
    resize: Resizing = "area"  # how frames are downscaled
    long_side: int = 0  # maximum in pixels; 0: 8 times the short side
    past: float = 0.0  # seconds past the last frame in which key times still count

    def __post_init__(self) -> None:
        if self.frames < 1 or not 0 <= self.key < self.frames:
            raise ValueError(
                f"Cut.key is {self.key} of {self.frames} frames, wants 0 <= key < frames"
            )
        if not self.stride > 0 or self.short_side < 1:
            raise ValueError(
                f"Cut has stride {self.stride} and short_side {self.short_side}, wants both above 0"
            )
        if self.resize not in get_args(Resizing) or self.long_side < 0:
            raise ValueError(
                f"Cut has resize {self.resize!r} and long_side {self.long_side}, wants resize "
                f"{' or '.join(get_args(Resizing))} and long_side of at least 0"
            )

    @property
    def reach(self) -> float:
        """Seconds from the start of a clip to its key time."""
        return self.key * self.stride

    def shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of a frame of `size` after resizing."""
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

    Key times are start, start + every, ... (seconds) before start + duration; with `every` "frame"
    the frame times in that range; or `times` (sorted). `part` selects a range of them. Key times
    more than half a frame outside the video (plus `cut.past`), or in a gap between two joined
    recordings, yield no clip. Frame i of a clip is the one nearest to key time + (i - key) *
    stride, the earlier in a tie; the first and last frame repeat beyond the ends. Each frame is
    resized at most once, and only if a clip needs it. Memory holds the frames of pending clips,
    and with "frame" those before a key. Raises UsageError for invalid times.
    """
    frames, (keys,) = keyed(video, [cut.reach], every, start, duration, times, part)
    return _cut(video, cut, frames, keys)


@dataclass
class _PendingClip:
    """A clip with frames still to come."""

    key: float
    wanted: deque[float]  # seconds of the frames still to come
    pixels: list[Pixels] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


class _ResizedFrame:
    """A frame resized once, on first use."""

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
        if self._how == "area":  # the readers convert and resize in one step
            return self._frame.rgb(*self._shape)
        return resized(self._frame.rgb(), *self._shape, self._how)


class Cutter:
    """Assembles clips, oldest first; all sample frames at the same offsets from their key."""

    def __init__(self, video: Video, cut: Cut, keys: Iterator[float]) -> None:
        self._stem = video.info.path.stem
        self._size = (video.info.height, video.info.width)
        self._shape, self._how = cut.shape(self._size), cut.resize
        self._half = 0.5 / video.info.rate  # half a frame, in seconds
        self._past = self._half + cut.past
        self._offsets = (np.arange(cut.frames) - cut.key) * cut.stride  # [T]  seconds from the key
        # A clip may not span a gap longer than this, in seconds.
        self._max_gap = float(self._offsets[-1] - self._offsets[0]) + 2 * self._half
        self._keys = keys
        self._next_key = next(keys, None)  # the first key time without a pending clip
        self._pending: deque[_PendingClip] = deque()
        self._before: _ResizedFrame | None = None

    @property
    def done(self) -> bool:
        return self._next_key is None and not self._pending

    def feed(self, frame: Frame) -> Iterator[Clip]:
        """Add a frame; yields the clips that it completes."""
        now = _ResizedFrame(frame, self._shape, self._how)
        if frame.after_gap and self._before and now.time - self._before.time > self._max_gap:
            yield from self.finish(self._half)
            self._skip(now.time - self._half)
        before = self._before or now
        for clip in self._pending:
            _fill(clip, before, now)
        yield from self._completed()
        while self._next_key is not None and self._next_key + self._offsets[0] <= now.time + CLOSE:
            if self._next_key >= -self._half:
                _fill(self._start(self._next_key), before, now)
                yield from self._completed()  # at once: a long gap holds many key times
            self._next_key = next(self._keys, None)
        self._before = now

    def finish(self, past: float | None = None) -> Iterator[Clip]:
        """Complete pending clips at the end of the video or of a recording in it by repeating the
        last frame; key times may lie `past` seconds after it."""
        last, past = self._before, self._past if past is None else past
        while last is not None and self._next_inside(last.time + past):
            clip = self._pending.popleft()
            _repeat(clip, last)
            yield self._close(clip)

    def _skip(self, time: float) -> None:
        """Drop the key times before `time`: there are no frames."""
        self._before = None
        self._pending = deque(clip for clip in self._pending if clip.key >= time)
        while self._next_key is not None and self._next_key < time:
            self._next_key = next(self._keys, None)

    def _next_inside(self, end: float) -> bool:
        if not self._pending and self._next_key is not None:
            self._start(self._next_key)
            self._next_key = next(self._keys, None)
        return bool(self._pending) and self._pending[0].key <= end

    def _start(self, key: float) -> _PendingClip:
        self._pending.append(_PendingClip(key, deque((key + self._offsets).tolist())))
        return self._pending[-1]

    def _completed(self) -> Iterator[Clip]:
        while self._pending and not self._pending[0].wanted:
            yield self._close(self._pending.popleft())

    def _close(self, clip: _PendingClip) -> Clip:
        pixels = np.stack(clip.pixels)
        return Clip(self._stem, pixels, clip.key, np.array(clip.times), self._size)


def _cut(video: Video, cut: Cut, frames: Iterable[Frame], keys: Iterator[float]) -> Iterator[Clip]:
    cutter = Cutter(video, cut, keys)
    for frame in frames:
        yield from cutter.feed(frame)
        if cutter.done:
            return
    yield from cutter.finish()


def _fill(clip: _PendingClip, before: _ResizedFrame, now: _ResizedFrame) -> None:
    """Fill the clip's samples up to now, each from the nearer of two neighbouring frames."""
    while clip.wanted and clip.wanted[0] <= now.time + CLOSE:
        wanted = clip.wanted.popleft()
        earlier = wanted - before.time <= now.time - wanted + CLOSE
        _take(clip, before if earlier else now)


def _repeat(clip: _PendingClip, last: _ResizedFrame) -> None:
    while clip.wanted:
        clip.wanted.popleft()
        _take(clip, last)


def _take(clip: _PendingClip, frame: _ResizedFrame) -> None:
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
    """Yield the clips of both cuts in pairs; frames are decoded once.

    Besides the frames of pending clips, memory holds clips of one cut that await the other's.
    """
    cuts = first, second
    frames, keys = keyed(video, [cut.reach for cut in cuts], every, start, duration, times, part)
    cutters = [
        Cutter(video, cut, key_iterator) for cut, key_iterator in zip(cuts, keys, strict=True)
    ]
    queues: list[deque[Clip]] = [deque(), deque()]
    for frame in frames:
        for cutter, queue in zip(cutters, queues, strict=True):
            queue.extend(cutter.feed(frame))
        yield from _pop_pairs(queues)
        if all(cutter.done for cutter in cutters):
            return
    for cutter, queue in zip(cutters, queues, strict=True):
        queue.extend(cutter.finish())
    yield from _pop_pairs(queues)


def _pop_pairs(queues: Sequence[deque[Clip]]) -> Iterator[tuple[Clip, Clip]]:
    """Remove and yield the complete pairs."""
    first, second = queues
    while first and second:
        yield first.popleft(), second.popleft()
