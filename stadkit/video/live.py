"""Live sources: read by a thread in real time and reconnected when lost.

A queue between the reader and its consumer keeps the newest frames and drops the oldest.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from stadkit.errors import StadkitError, VideoError
from stadkit.video.frame import Frame, Report, Video, VideoInfo

MAX_AHEAD = 10.0  # seconds: timestamps further ahead of the clock are corrected, not awaited
MAX_BEHIND = 2.0  # seconds: timestamps further behind, for longer than this, are corrected
MIN_PAUSE = 2.0  # seconds between two frames that count as a pause
T = TypeVar("T")
TICK = 0.1  # seconds: maximum wait before Ctrl-C is handled


@dataclass(frozen=True)
class RetryPolicy:
    """When to reconnect to a source, and when to give up."""

    tries: int = 5  # consecutive connections without a frame before giving up
    first: float = 1.0  # seconds before the second try; doubled each time
    max_wait: float = 30.0  # maximum seconds between tries
    capacity: int = 16  # frames read ahead before the oldest is dropped

    def wait(self, failed: int) -> float:
        """Seconds to wait after `failed` consecutive failures."""
        return min(self.first * 2.0 ** (failed - 1), self.max_wait)


class PlaybackClock:
    """The clock that live frames follow."""

    def now(self) -> float:
        """Seconds on a monotonic clock."""
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait for `seconds`; False if `stop` was set meanwhile."""
        return not stop.wait(max(seconds, 0.0))


class LiveVideo(Video):
    """A live source, read by a thread in real time and reconnected after an interruption.

    `connect` opens it and returns a Video, or raises VideoError; a Video with `finished` true at
    its end is not reopened. Times count from the first frame, across reconnections, and frames
    arrive no earlier than their display time; timestamps that drift off the clock are corrected.
    Frames not taken in time are dropped. Raises VideoError if no connection gives a frame.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Video],
        notify: Callable[[str], None] = lambda _: None,
        policy: RetryPolicy | None = None,
        clock: PlaybackClock | None = None,
        until: float | None = None,
    ) -> None:
        """`notify` receives a message when the source is interrupted or back. `until`: time limit
        in seconds on the clock, also without frames; the source is then `lost`."""
        self.name, self.lost, self.reconnects, self.jumps = name, "", 0, 0
        self._until = np.inf if until is None else until
        self._connect, self._notify = connect, notify
        self._policy, self._clock = policy or RetryPolicy(), clock or PlaybackClock()
        self._frames: Freshest[Frame] = Freshest(self._policy.capacity)
        self._stop, self._connected = threading.Event(), threading.Event()
        self._yielded = 0
        self._start: float | None = None  # of time 0, on the clock
        self._last = 0.0  # time of the newest frame
        self._shown = self._reconnected = (
            False  # any frame so far; the next one is from a new connection
        )
        self._late: float | None = None  # since when frames have been far behind the clock
        self._pauses: deque[tuple[float, float]] = deque()  # times of the frames on both sides
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        try:
            while not self._connected.wait(TICK):
                pass
            if self._start is None:
                self._frames.take()  # raises the error
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        while not self._time_is_up() and (frames := self._frames.take(stopped=self._time_is_up)):
            self._yielded += 1
            yield frames[0]
        if not self._stop.is_set() and self._time_is_up():
            self.lost = f"no frames after {self._last:.1f} s; stopped at the time limit"

    @property
    def dropped(self) -> int:
        """Number of frames dropped because they were not taken in time."""
        return self._frames.dropped

    @property
    def seconds(self) -> float:
        """Seconds from the first frame to the newest."""
        return self._last

    def paused(self, second: float) -> bool:
        """Whether `second` is in a pause; call in ascending order, for times already iterated."""
        half = 0.5 / self.info.rate  # a frame this close belongs to that time
        while self._pauses and self._pauses[0][1] - half <= second:
            self._pauses.popleft()
        return bool(self._pauses) and self._pauses[0][0] + half < second

    @property
    def report(self) -> Report:
        return Report(self._yielded, None, 0, 0, bool(self.lost), self.lost)

    def close(self) -> None:
        """Stop reading; a thread blocked on the network is abandoned."""
        self._stop.set()
        self._frames.end()
        self._thread.join(1.0)

    def _time_is_up(self) -> bool:
        return self._shown and self._elapsed() >= self._until

    def _run(self) -> None:
        try:
            self._read()
            self._frames.end()
        except BaseException as error:
            self._frames.end(error)
        finally:
            self._connected.set()

    def _read(self) -> None:
        """Connect, read and reconnect; returns when the source is finished or lost."""
        failed = 0
        while not self._stop.is_set():
            newest = self._last, self._start
            why = self._play()
            if not why:
                return
            failed = 1 if (self._last, self._start) != newest else failed + 1
            if failed >= self._policy.tries:
                self._give_up(f"{why}; gave up after {failed} tries")
                return
            wait = self._policy.wait(failed)
            self._notify(
                f"{self.name}: {why}; trying again in {wait:g} s "
                f"({failed} of {self._policy.tries - 1})"
            )
            self._clock.wait(wait, self._stop)

    def _give_up(self, why: str) -> None:
        if self._start is None:
            raise VideoError(f"{self.name}: {why}")
        self.lost = why

    def _play(self) -> str:
        """Read one connection to its end; returns why to reconnect, empty if not."""
        try:
            with self._connect() as video:
                self._begin(video.info)
                base = self._base(video.info)
                for frame in video:
                    base += self._jump(base + frame.time, video.info)
                    if not self._show(frame, base + frame.time):
                        return ""
                finished = bool(getattr(video, "finished", False))
                return (
                    ""
                    if finished
                    else str(getattr(video, "why", "")) or "the connection was interrupted"
                )
        except StadkitError as error:
            return str(error).removeprefix(f"{self.name}: ").rstrip(".")

    def _begin(self, info: VideoInfo) -> None:
        if self._start is None:
            self._start = self._clock.now()
            self.info = info
            self._connected.set()
        else:
            self.reconnects += 1
            self._reconnected = True
            self._notify(f"{self.name}: is back after {self._elapsed() - self._last:.0f} s")

    def _elapsed(self) -> float:
        return self._clock.now() - (self._start or 0.0)

    def _base(self, info: VideoInfo) -> float:
        """The time at which a connection's frames begin."""
        if self.reconnects == 0:
            return 0.0
        return max(self._elapsed(), self._last + 1 / info.rate)

    def _jump(self, second: float, info: VideoInfo) -> float:
        """Correction in seconds for this and later timestamps if they drift off the clock."""
        now = self._elapsed()
        if now - second <= MAX_BEHIND:
            self._late = None
        elif self._late is None:
            self._late = now
        # A burst after a stall is late only briefly, and its timestamps are correct.
        stays = self._late is not None and now - self._late > MAX_BEHIND
        if self._last <= second <= now + MAX_AHEAD and not stays:
            return 0.0
        self._late, self.jumps = None, self.jumps + 1
        by = max(now, self._last + 1 / info.rate) - second
        if self.jumps == 1:
            self._notify(
                f"{self.name}: its timestamps are off by {-by:+.1f} s; corrected to the clock "
                "(further corrections are only counted)"
            )
        return by

    def _show(self, frame: Frame, second: float) -> bool:
        """Queue a frame at its display time; False if reading was stopped."""
        if not self._clock.wait(second - self._elapsed(), self._stop):
            return False
        min_pause = max(MIN_PAUSE, 2 / self.info.rate)
        if self._reconnected or second - self._last > min_pause:
            self._pauses.append((self._last if self._shown else -np.inf, second))
        self._shown, self._reconnected = True, False
        self._last = second
        self._frames.put(replace(frame, time=second))
        return True


class Freshest(Generic[T]):
    """A queue that never blocks the producer: when full, it drops its oldest item."""

    def __init__(self, capacity: int) -> None:
        self.dropped = 0
        self._items: deque[T] = deque()
        self._capacity, self._ended = capacity, False
        self._error: BaseException | None = None
        self._change = threading.Condition()

    def put(self, item: T) -> None:
        """Add the newest item."""
        with self._change:
            if len(self._items) == self._capacity:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._change.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Mark the end; `take` raises `error` after the remaining items."""
        with self._change:
            self._ended, self._error = True, self._error or error
            self._change.notify_all()

    def take(self, limit: int = 1, stopped: Callable[[], bool] = lambda: False) -> list[T]:
        """The oldest items, from one to `limit`; none at the end, or if `stopped` turns true
        first."""
        with self._change:
            while not self._items and not self._ended and not stopped():
                self._change.wait(TICK)
            if not self._items and self._error is not None:
                raise self._error
            return [self._items.popleft() for _ in range(min(limit, len(self._items)))]
