"""Presentation timestamps -> strictly ascending seconds from 0; seams of joined streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

MAX_GAP = 3600.0  # seconds; a timestamp further ahead of the last is damage, not a pause
_PACKET_SIZES = (188, 192, 204)  # bytes
_SYNC = 0x47
_BEFORE, _AFTER = 1 << 19, 1 << 21  # bytes examined on each side
_JUMP = 90_000  # ticks: frames with timestamps over a second apart are on different clocks
PAUSE = 1.0  # seconds; shorter pauses between two recordings are not reported
_MAX_DELAY = 64  # maximum frames between a packet and its decoded frame
_WRAP = 1 << 33  # ticks; timestamps have 33 bits


class Clock:
    """Converts timestamps of frames in display order to seconds.

    A frame without a timestamp follows one period after the last. A timestamp slightly before the
    last is treated as missing; a jump back of more than a second, or ahead of more than `MAX_GAP`,
    restarts the clock one period after the last frame (concatenated streams, wrapped counters,
    damage).
    """

    def __init__(self, start: int | None, tick: float, period: float) -> None:
        self._start = start  # timestamp of time 0, in ticks
        self.tick = tick  # seconds per tick
        self._period = period  # mean seconds per frame
        self._last: float | None = None

    def seconds(self, stamp: int | None) -> float:
        """Time of the next frame in seconds from the start of the video."""
        self._last = self._first(stamp) if self._last is None else self._next(self._last, stamp)
        return self._last

    @property
    def start(self) -> float:
        """The timestamp of time 0, in seconds of the container's clock."""
        return (self._start or 0) * self.tick

    def _first(self, stamp: int | None) -> float:
        if stamp is None:
            return 0.0
        # A frame before the stream's start or far after it means a wrong header.
        if self._start is None or not 0 <= (stamp - self._start) * self.tick <= MAX_GAP:
            self._start = stamp
        return (stamp - self._start) * self.tick

    def _next(self, last: float, stamp: int | None) -> float:
        follow = last + self._period
        if stamp is None:
            return follow
        if self._start is None:
            self._start = stamp - round(follow / self.tick)
        time = (stamp - self._start) * self.tick
        if time < last - 1 or time > last + MAX_GAP:
            self._start = stamp - round(follow / self.tick)
            return follow
        return time if time > last else follow


class _Packet(NamedTuple):
    at: int  # byte offset in the file
    pid: int
    counter: int  # 0..15
    unit_start: bool  # payload_unit_start_indicator: a frame or a table begins
    discontinuity: bool  # discontinuity_indicator: the counter may jump
    payload: bytes


@dataclass
class _StreamClock:
    """Timestamps of the frames, in ticks of 1/90000 s and in decoding order."""

    last: int | None = None
    longest: int = 0  # interval between two frames

    def step(self, stamp: int | None) -> int | None:
        """Ticks from the last frame; negative: backwards."""
        if stamp is None or self.last is None:
            return None
        return (stamp - self.last + _WRAP // 2) % _WRAP - _WRAP // 2

    def advance(self, stamp: int | None) -> None:
        """Move on to the next frame."""
        self.longest = max(self.longest, self.step(stamp) or 0)
        self.last = self.last if stamp is None else stamp


class Seams:
    """Tracks the seams found while reading, and the gaps between recordings."""

    def __init__(self) -> None:
        self._candidates = 0  # following frames that may be the first after a seam
        self._last = 0.0
        self._gaps: list[tuple[float, float]] = []  # times of the frames on both sides

    def packet(self) -> None:
        """Record that the last packet precedes a seam."""
        self._candidates = _MAX_DELAY

    def frame(self, time: float) -> bool:
        """Whether the frame at `time` seconds follows a seam and a gap without frames."""
        after_gap = self._candidates > 0 and time - self._last > PAUSE
        if after_gap:
            self._gaps.append((self._last, time))
        self._candidates = 0 if after_gap else max(0, self._candidates - 1)
        self._last = time
        return after_gap

    @property
    def note(self) -> str:
        """The gaps in one line; empty without gaps."""
        if not self._gaps:
            return ""
        first, more = self._gaps[0], len(self._gaps) - 1
        others = f" and in {more} more gap{'s' * (more > 1)} between recordings" if more else ""
        return f"no frames from {first[0]:.1f} s to {first[1]:.1f} s{others}: skipped"


def is_seam(path: Path, at: int, pid: int) -> bool:
    """Whether the first counter jump at or after byte `at` is a seam of concatenated streams.

    pid: that of the video stream. Raises OSError if the file cannot be read.
    """
    clock, count, table = _StreamClock(), None, None
    new_table = jumped = False
    for packet in _packets(path, max(0, at - _BEFORE), _BEFORE + _AFTER):
        if packet.pid == 0:
            jumped = table is not None and packet.counter != (table + 1) % 16
            table, new_table = packet.counter, True
        if packet.pid != pid or not packet.payload:
            continue
        stamp = _stamp(packet.payload) if packet.unit_start else None
        follows = count is None or packet.counter == (count + 1) % 16 or packet.discontinuity
        if not follows and packet.at >= at:
            return packet.unit_start and new_table and _is_new(clock, clock.step(stamp), jumped)
        clock.advance(stamp)
        count, new_table = packet.counter, False
    return False


def _is_new(clock: _StreamClock, step: int | None, jumped: bool) -> bool:
    """Whether another stream begins: on a different clock, or with no frame missing."""
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
            pid=(data[at + 1] & 31) << 8 | data[at + 2],
            counter=flags & 15,
            unit_start=bool(data[at + 1] & 0x40),
            discontinuity=bool(flags & 0x20 and data[at + 4] and data[at + 5] & 0x80),
            payload=data[body : at + 188] if flags & 0x10 else b"",
        )
        at += step


def _first(data: bytes) -> tuple[int, int]:
    """(packet size, offset of the first packet) in bytes; (0, 0) without packets."""
    for step in _PACKET_SIZES:
        for at in range(step):
            if data[at : at + 5 * step : step] == b"G" * 5:
                return step, at
    return 0, 0


def _stamp(payload: bytes) -> int | None:
    """The timestamp in a PES header: the decoding timestamp if present."""
    if len(payload) < 19 or payload[:3] != b"\0\0\1" or not payload[7] & 0x80:
        return None
    data = payload[14:19] if payload[7] & 0x40 else payload[9:14]
    low, middle = int.from_bytes(data[3:5], "big"), int.from_bytes(data[1:3], "big")
    return (data[0] >> 1 & 7) << 30 | middle >> 1 << 15 | low >> 1
