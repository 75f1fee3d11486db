"""A video's sound, copied as it is beside new pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from stadkit.video.decode import open_container


class Sound:
    """The AAC packets of a file, handed out up to a time; anything else counts as no sound.

    Other codecs and AAC without its header (MPEG-TS) would need to be encoded again for MP4
    and are left out.
    """

    def __init__(self, path: Path, start: float) -> None:
        """`start`: the container's time that is second 0 of the pictures."""
        self._container = open_container(path)
        self.stream = self._container.streams.best("audio")
        context = self.stream.codec_context if self.stream is not None else None
        if context is None or context.name != "aac" or not context.extradata:
            self.stream = None
        self._start = start
        self._last: int | None = None
        self._packets = self._container.demux(self.stream) if self.stream else iter(())
        self._waiting: Any = None

    def until(self, time: float, output: Any) -> list[Any]:
        """The packets that start before `time` (seconds), for an output stream."""
        ready = []
        while (packet := self._waiting or self._read()) is not None:
            self._waiting = None
            if packet.pts * packet.time_base > time:
                self._waiting = packet
                break
            packet.stream = output
            ready.append(packet)
        return ready

    def close(self) -> None:
        self._container.close()

    def _read(self) -> Any:
        """The next packet at or after second 0, its stamps moved to count from there."""
        try:
            for packet in self._packets:
                if packet.pts is None or packet.dts is None:
                    continue
                shift = round(Fraction(self._start) / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                if packet.dts >= 0 and (self._last is None or packet.dts > self._last):
                    self._last = packet.dts
                    return packet
        except (av.FFmpegError, IndexError):  # IndexError: a stream that opening did not see
            pass  # damaged: the pictures go on without
        return None
