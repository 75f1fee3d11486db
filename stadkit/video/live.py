"""Live pictures: read by a thread at the pace they come, the freshest kept, opened again when
lost.

A queue between live pictures and who takes them: the freshest are kept.
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

AHEAD = 10.0  # seconds: a time stamp further ahead of the clock is not waited for
BEHIND = 2.0  # seconds: stamps further behind than this, for longer than this, are not believed
PAUSE = 2.0  # seconds between two frames, from which on there is nothing to see between them
T = TypeVar("T")
TICK = 0.1  # seconds that a wait may keep Ctrl-C waiting


@dataclass(frozen=True)
class Patience:
    """How long a source is waited for."""

    tries: int = 5  # connections in a row that give no frame, before it is given up
    first: float = 1.0  # seconds before the second of them; doubled each time
    longest: float = 30.0  # seconds before any
    room: int = 16  # frames read ahead; then the oldest is dropped

    def wait(self, failed: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return min(self.first * 2.0 ** (failed - 1), self.longest)


class Pace:
    """The clock that live pictures follow."""

    def now(self) -> float:
        """Seconds of a clock that never jumps."""
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait so long; False where the reading was stopped meanwhile."""
        return not stop.wait(max(seconds, 0.0))


class LiveVideo(Video):
    """A source that plays: a thread reads it as it comes, and again when it breaks off.

    `connect` opens it and gives a Video, or raises VideoError; one whose `finished` is true at its
    end is not opened again. Seconds count from the first frame, also over a reconnection, and
    frames come no earlier than they are to be shown; stamps that leave the clock are set right.
    Frames that nobody takes in time are dropped. Raises VideoError where no connection gives a
    frame.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Video],
        tell: Callable[[str], None] = lambda _: None,
        patience: Patience | None = None,
        pace: Pace | None = None,
        until: float | None = None,
    ) -> None:
        """`tell` is given a line for people when the source breaks off or is back. `until`: seconds
        at which it is over by the clock, also where no frame comes; then it is `lost`."""
        self.name, self.lost, self.reconnects, self.jumps = name, "", 0, 0
        self._until = np.inf if until is None else until
        self._connect, self._tell = connect, tell
        self._patience, self._pace = patience or Patience(), pace or Pace()
        self._frames: Freshest[Frame] = Freshest(self._patience.room)
        self._stop, self._known = threading.Event(), threading.Event()
        self._given = 0
        self._start: float | None = None  # of second 0, by the clock of the pace
        self._last = 0.0  # seconds: the newest frame
        self._shown = self._anew = False  # any frame yet; the next is of a new connection
        self._late: float | None = None  # since when frames come far behind the clock
        self._pauses: deque[tuple[float, float]] = deque()  # seconds: the frames on both sides
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        try:
            while not self._known.wait(TICK):
                pass
            if self._start is None:
                self._frames.take()  # raises what went wrong
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        while not self._over() and (frames := self._frames.take(over=self._over)):
            self._given += 1
            yield frames[0]
        if not self._stop.is_set() and self._over():
            self.lost = f"no picture after second {self._last:.1f}; ended by the clock"

    @property
    def dropped(self) -> int:
        """Frames that came faster than they were taken."""
        return self._frames.dropped

    @property
    def seconds(self) -> float:
        """From the first frame to the newest."""
        return self._last

    def paused(self, second: float) -> bool:
        """Whether there was nothing to see then; ask in rising order, of what was iterated over."""
        half = 0.5 / self.info.rate  # a frame so near is of that second
        while self._pauses and self._pauses[0][1] - half <= second:
            self._pauses.popleft()
        return bool(self._pauses) and self._pauses[0][0] + half < second

    @property
    def report(self) -> Report:
        return Report(self._given, None, 0, 0, bool(self.lost), self.lost)

    def close(self) -> None:
        """End the reading; a thread that waits for the network is left behind."""
        self._stop.set()
        self._frames.end()
        self._thread.join(1.0)

    def _over(self) -> bool:
        return self._shown and self._elapsed() >= self._until

    def _run(self) -> None:
        try:
            self._read()
            self._frames.end()
        except BaseException as error:
            self._frames.end(error)
        finally:
            self._known.set()

    def _read(self) -> None:
        """Connect, read, and connect again; returns when it is over."""
        failed = 0
        while not self._stop.is_set():
            newest = self._last, self._start
            why = self._play()
            if not why:
                return
            failed = 1 if (self._last, self._start) != newest else failed + 1
            if failed >= self._patience.tries:
                self._give_up(f"{why}; gave up after {failed} tries")
                return
            wait = self._patience.wait(failed)
            self._tell(
                f"{self.name}: {why}; trying again in {wait:g} s "
                f"({failed} of {self._patience.tries - 1})"
            )
            self._pace.wait(wait, self._stop)

    def _give_up(self, why: str) -> None:
        if self._start is None:
            raise VideoError(f"{self.name}: {why}")
        self.lost = why

    def _play(self) -> str:
        """Read one connection to its end; why another is wanted, empty where none is."""
        try:
            with self._connect() as video:
                self._begin(video.info)
                base = self._base(video.info)
                for frame in video:
                    base += self._jump(base + frame.time, video.info)
                    if not self._show(frame, base + frame.time):
                        return ""
                finished = bool(getattr(video, "finished", False))
                return "" if finished else str(getattr(video, "why", "")) or "broke off"
        except StadkitError as error:
            return str(error).removeprefix(f"{self.name}: ").rstrip(".")

    def _begin(self, info: VideoInfo) -> None:
        if self._start is None:
            self._start = self._pace.now()
            self.info = info
            self._known.set()
        else:
            self.reconnects += 1
            self._anew = True
            self._tell(f"{self.name}: is back after {self._elapsed() - self._last:.0f} s")

    def _elapsed(self) -> float:
        return self._pace.now() - (self._start or 0.0)

    def _base(self, info: VideoInfo) -> float:
        """The second at which a connection's frames begin."""
        if self.reconnects == 0:
            return 0.0
        return max(self._elapsed(), self._last + 1 / info.rate)

    def _jump(self, second: float, info: VideoInfo) -> float:
        """Seconds to add to a frame's stamp, and to those after it, where it has left the clock."""
        now = self._elapsed()
        if now - second <= BEHIND:
            self._late = None
        elif self._late is None:
            self._late = now
        # What comes in a burst after a stall is late for a moment only, and its stamps are right.
        stays = self._late is not None and now - self._late > BEHIND
        if self._last <= second <= now + AHEAD and not stays:
            return 0.0
        self._late, self.jumps = None, self.jumps + 1
        by = max(now, self._last + 1 / info.rate) - second
        if self.jumps == 1:
            self._tell(
                f"{self.name}: its time stamps are off by {-by:+.1f} s; it goes on by the clock "
                "(more of these are only counted)"
            )
        return by

    def _show(self, frame: Frame, second: float) -> bool:
        """Pass a frame on when its time has come; False where the reading was stopped."""
        if not self._pace.wait(second - self._elapsed(), self._stop):
            return False
        longest = max(PAUSE, 2 / self.info.rate)
        if self._anew or second - self._last > longest:
            self._pauses.append((self._last if self._shown else -np.inf, second))
        self._shown, self._anew = True, False
        self._last = second
        self._frames.put(replace(frame, time=second))
        return True


class Freshest(Generic[T]):
    """A queue that never makes the giver wait: when it is full, its oldest item is dropped."""

    def __init__(self, room: int) -> None:
        self.dropped = 0
        self._items: deque[T] = deque()
        self._room, self._ended = room, False
        self._error: BaseException | None = None
        self._change = threading.Condition()

    def put(self, item: T) -> None:
        """Add the newest item."""
        with self._change:
            if len(self._items) == self._room:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._change.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """There is no more; `error` comes out of `take` when the rest is taken."""
        with self._change:
            self._ended, self._error = True, self._error or error
            self._change.notify_all()

    def take(self, most: int = 1, over: Callable[[], bool] = lambda: False) -> list[T]:
        """The oldest items, at least one and at most so many; none at the end, or where it is
        `over` before one comes."""
        with self._change:
            while not self._items and not self._ended and not over():
                self._change.wait(TICK)
            if not self._items and self._error is not None:
                raise self._error
            return [self._items.popleft() for _ in range(min(most, len(self._items)))]
