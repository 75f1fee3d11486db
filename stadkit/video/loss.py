"""Signs that a file has lost a part, where its container keeps no count that would tell."""

from __future__ import annotations

from typing import Any

TRANSPORT = (188, 192, 204)  # bytes of a packet of MPEG-TS, as files hold them
STREAMED = ("matroska,webm", "mpegts", "mpeg", "flv")  # pictures from the first to the last byte
STEADY = ("mpeg1video", "mpeg2video")  # codecs whose frames all last as long, but for telecine
GAP = 2.5  # periods; a telecined frame lasts 1.5


class Loss:
    """Watches the packets and frames of one reading."""

    def __init__(self, container: Any, stream: Any, period: float) -> None:
        """period: seconds a frame, on average."""
        self._format, self._size = container.format.name, container.size
        self._alone = len(container.streams) == 1
        self._steady = stream.codec_context.codec.canonical_name in STEADY
        self._period, self._time = period, 0.0
        self._end = self._gaps = 0

    def packet(self, packet: Any) -> None:
        """One more packet of the pictures."""
        if packet.pos is not None:
            self._end = max(self._end, packet.pos + packet.size)

    def frame(self, time: float) -> None:
        """One more frame, at this second."""
        self._gaps += self._steady and time - self._time > GAP * self._period
        self._time = time

    def signs(self, counted: bool) -> list[str]:
        """What tells of a loss, at the end of the file; counted: the container knows its length."""
        found = []
        cut = self._size > 0 and all(self._size % packet for packet in TRANSPORT)
        if cut and self._format == "mpegts":
            found.append("the last transport packet is cut")
        lost = self._size - self._end
        if not counted and self._alone and self._format in STREAMED and 4 * lost > self._size:
            found.append(f"no picture in the last {lost} of {self._size} bytes")
        if self._gaps:
            found.append(f"{self._gaps} gap{'s' * (self._gaps > 1)} in its time")
        return found
