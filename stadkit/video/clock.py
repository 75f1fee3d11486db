"""Presentation stamps -> seconds that start at 0 and always rise."""

from __future__ import annotations

LONGEST_GAP = 3600.0  # seconds; a stamp further ahead of the last is damage, not a pause


class Clock:
    """Seconds of frames that come in display order.

    A frame without a stamp comes one period after the last. A stamp that runs back a little is
    taken as missing; one that jumps back by more than a second, or ahead by more than
    `LONGEST_GAP`, starts a new count one period after the last frame (streams glued together,
    wrapped counters, damage).
    """

    def __init__(self, start: int | None, tick: float, period: float) -> None:
        self._start = start  # stamp of time 0, in ticks
        self.tick = tick  # seconds a tick
        self._period = period  # seconds a frame, on average
        self._last: float | None = None

    def seconds(self, stamp: int | None) -> float:
        """Seconds from the start of the video, for the next frame."""
        self._last = self._first(stamp) if self._last is None else self._next(self._last, stamp)
        return self._last

    @property
    def start(self) -> float:
        """The stamp of second 0, in the stamps' own seconds."""
        return (self._start or 0) * self.tick

    def _first(self, stamp: int | None) -> float:
        if stamp is None:
            return 0.0
        # A frame before the stream's start, or far after it: the header is wrong.
        if self._start is None or not 0 <= (stamp - self._start) * self.tick <= LONGEST_GAP:
            self._start = stamp
        return (stamp - self._start) * self.tick

    def _next(self, last: float, stamp: int | None) -> float:
        follow = last + self._period
        if stamp is None:
            return follow
        if self._start is None:
            self._start = stamp - round(follow / self.tick)
        time = (stamp - self._start) * self.tick
        if time < last - 1 or time > last + LONGEST_GAP:
            self._start = stamp - round(follow / self.tick)
            return follow
        return time if time > last else follow
