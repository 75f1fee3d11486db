"""Has a file lost a part? Seen from its boxes, from where its pictures end against the length it
says it has, and from the frames it lists; never from a count guessed as length times rate."""

from __future__ import annotations

from typing import Any, NamedTuple

from stadkit.video.structure import Structure

TRANSPORT = (188, 192, 204)  # bytes of a packet of MPEG-TS, as files hold them
STREAMED = ("matroska,webm", "mpegts", "flv")  # pictures from the first to the last byte
STEADY = ("mpeg1video", "mpeg2video")  # codecs whose frames all last as long, but for telecine
GAP = 2.5  # periods; a telecined frame lasts 1.5
UNKNOWN = Structure("unknown", 0)


class Promise(NamedTuple):
    """How long a file says it is."""

    seconds: float
    of_all: bool  # of its longest stream, be that sound; else of its pictures


class Loss:
    """Watches the packets and frames of one reading."""

    def __init__(
        self, container: Any, stream: Any, period: float, promise: Promise | None = None
    ) -> None:
        """period: seconds a frame, on average."""
        self._format, self._size = container.format.name, container.size
        self._alone = len(container.streams) == 1
        codec = stream.codec_context.codec.canonical_name
        # Of other containers the packets are numbered, or their boxes tell more.
        self._steady = self._format == "mpeg" and codec in STEADY
        self._period, self._promise = period, promise
        self._time = self._last = self._sound = 0.0  # seconds: a frame; the ends of the streams
        self._longest = 0.0  # seconds between two frames
        self._end = self._gaps = self.packets = self._others = 0

    def packet(self, packet: Any) -> None:
        """One more packet of the pictures."""
        self.packets += 1
        if packet.pos is not None:
            self._end = max(self._end, packet.pos + packet.size)

    def other(self, packet: Any) -> None:
        """One more packet of another stream, or an empty one."""
        self._others += 1
        if packet.pts is not None:
            until = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._sound = max(self._sound, float(until))

    def frame(self, time: float, lasts: float = 0.0, start: float = 0.0) -> None:
        """One more frame, at this second; it lasts so many, 0 for not known. start: the second
        that the file calls second 0."""
        self._gaps += self._steady and time - self._time > GAP * self._period
        self._longest = max(self._longest, time - self._time)
        self._time = time
        self._last = max(self._last, time + max(start, 0.0) + max(lasts, self._period))

    def short(self, boxes: Structure = UNKNOWN) -> tuple[float, float] | None:
        """(second at which it ends, seconds promised) where the end of the file lacks; ask when
        all was read."""
        if not self._promise or boxes.state == "whole":
            return None
        promised, end = self._promise.seconds, self._last
        if self._promise.of_all:
            end = max(end, self._sound)
        slack = self._period / 2
        if boxes.state == "unknown":  # few files say how long the last picture stays
            slack = max(GAP * self._period, 0.01 * promised, self._longest)
        return (end, promised) if promised - end > slack else None

    def signs(self, counted: bool, boxes: Structure = UNKNOWN) -> list[str]:
        """What else tells of a loss, when all was read; counted: the file lists its frames."""
        found = []
        cut = self._size > 0 and all(self._size % packet for packet in TRANSPORT)
        if self._format == "mpegts" and (cut or boxes.state == "cut"):
            found.append("the last transport packet is cut")
        elif boxes.state == "cut" and not counted:
            found.append("the file is cut short")
        elif boxes.state == "broken" and not counted:
            found.append(f"the file is damaged at byte {boxes.at}")
        lost = self._size - self._end
        untold = self._format in STREAMED and not counted and not self._promise
        if untold and self._alone and 4 * lost > self._size:
            found.append(f"no picture in the last {lost} of {self._size} bytes")
        unread = boxes.blocks - self.packets - self._others
        if unread > 0 and boxes.state in ("whole", "unknown"):
            found.append(f"{unread} of {boxes.blocks} blocks cannot be read")
        if self._gaps:
            found.append(f"{self._gaps} gap{'s' * (self._gaps > 1)} in its time")
        return found
