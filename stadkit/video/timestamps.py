"""Presentation stamps -> seconds that start at 0 and always rise; seams of joined streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

LONGEST_GAP = 3600.0  # seconds; a stamp further ahead of the last is damage, not a pause
_STEPS = (188, 192, 204)  # bytes of a packet
_SYNC = 0x47
_BEFORE, _AFTER = 1 << 19, 1 << 21  # bytes looked at on both sides
_JUMP = 90_000  # ticks: two pictures whose stamps are a second apart have other clocks
PAUSE = 1.0  # seconds; shorter ones between two recordings are nothing to speak of
_NEAR = 64  # frames at most between a packet and its frame
_WRAP = 1 << 33  # ticks


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


class _Packet(NamedTuple):
    at: int  # byte of the file
    kind: int  # PID
    counter: int  # 0..15
    begins: bool  # a picture, or a table
    told: bool  # the stream itself says that its counter jumps
    payload: bytes


@dataclass
class _Clock:
    """Stamps of the pictures, in ticks of 1/90000 s and in the order of decoding."""

    last: int | None = None
    longest: int = 0  # between two pictures

    def step(self, stamp: int | None) -> int | None:
        """Ticks from the picture before, below 0 for back."""
        if stamp is None or self.last is None:
            return None
        return (stamp - self.last + _WRAP // 2) % _WRAP - _WRAP // 2

    def go(self, stamp: int | None) -> None:
        """To the next picture."""
        self.longest = max(self.longest, self.step(stamp) or 0)
        self.last = self.last if stamp is None else stamp


class Seams:
    """Watches the seams of one reading, and what lies between the recordings."""

    def __init__(self) -> None:
        self._near, self._last = 0, 0.0  # frames to come that may be the first behind a seam
        self._gaps: list[tuple[float, float]] = []  # seconds of the frames on both sides

    def packet(self) -> None:
        """The last packet lies before a seam."""
        self._near = _NEAR

    def frame(self, time: float) -> bool:
        """Whether this frame, at this second, comes behind a seam and a time without a picture."""
        anew = self._near > 0 and time - self._last > PAUSE
        if anew:
            self._gaps.append((self._last, time))
        self._near = 0 if anew else max(0, self._near - 1)
        self._last = time
        return anew

    @property
    def note(self) -> str:
        """Where no picture is, in a line; empty for nowhere."""
        if not self._gaps:
            return ""
        first, more = self._gaps[0], len(self._gaps) - 1
        others = f" and in {more} more gap{'s' * (more > 1)} between recordings" if more else ""
        return f"no picture from second {first[0]:.1f} to {first[1]:.1f}{others}: skipped"


def is_seam(path: Path, at: int, kind: int) -> bool:
    """Whether the first jump of the counter at or after a byte is at a seam of glued streams.

    kind: the PID of the pictures. Raises OSError where the file cannot be read.
    """
    clock, count, table = _Clock(), None, None
    new_table = jumped = False
    for packet in _packets(path, max(0, at - _BEFORE), _BEFORE + _AFTER):
        if packet.kind == 0:
            jumped = table is not None and packet.counter != (table + 1) % 16
            table, new_table = packet.counter, True
        if packet.kind != kind or not packet.payload:
            continue
        stamp = _stamp(packet.payload) if packet.begins else None
        follows = count is None or packet.counter == (count + 1) % 16 or packet.told
        if not follows and packet.at >= at:
            return packet.begins and new_table and _is_new(clock, clock.step(stamp), jumped)
        clock.go(stamp)
        count, new_table = packet.counter, False
    return False


def _is_new(clock: _Clock, step: int | None, jumped: bool) -> bool:
    """Whether another stream begins here: on another clock, or with no picture missing between."""
    if step is None:
        return jumped
    if step <= 0 or step > max(_JUMP, 2 * clock.longest):
        return True
    return jumped and step <= 1.5 * clock.longest


def _packets(path: Path, start: int, count: int) -> Iterator[_Packet]:
    with open(path, "rb") as file:
        file.seek(start)
        data = file.read(count)
    step, at = _first(data)
    while step and at + 188 <= len(data):
        if data[at] != _SYNC:
            at += 1
            continue
        flags = data[at + 3]
        body = at + 4 + (1 + data[at + 4] if flags & 0x20 else 0)
        yield _Packet(
            at=start + at,
            kind=(data[at + 1] & 31) << 8 | data[at + 2],
            counter=flags & 15,
            begins=bool(data[at + 1] & 0x40),
            told=bool(flags & 0x20 and data[at + 4] and data[at + 5] & 0x80),
            payload=data[body : at + 188] if flags & 0x10 else b"",
        )
        at += step


def _first(data: bytes) -> tuple[int, int]:
    """(bytes a packet, where the first one begins); (0, 0) where there are none."""
    for step in _STEPS:
        for at in range(step):
            if data[at : at + 5 * step : step] == b"G" * 5:
                return step, at
    return 0, 0


def _stamp(payload: bytes) -> int | None:
    """The stamp at the head of a picture, of its decoding where it has two."""
    if len(payload) < 19 or payload[:3] != b"\0\0\1" or not payload[7] & 0x80:
        return None
    data = payload[14:19] if payload[7] & 0x40 else payload[9:14]
    low, middle = int.from_bytes(data[3:5], "big"), int.from_bytes(data[1:3], "big")
    return (data[0] >> 1 & 7) << 30 | middle >> 1 << 15 | low >> 1
