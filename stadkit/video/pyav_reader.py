"""The default reader, PyAV: one sequential pass, upright frames, timestamps from 0 s.

Never seeks and never relies on a frame count or on `n / fps`. Packets that cannot be decoded are
counted and skipped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import VideoReformatter

from stadkit.errors import VideoError
from stadkit.video.check import shown
from stadkit.video.container import (
    declared_duration,
    listed_frames,
    open_container,
    pace,
    pixel_aspect,
    stream_duration,
    video_stream,
)
from stadkit.video.frame import Frame, Report, Video, VideoInfo, displayed, judge
from stadkit.video.resize import NO_CROP, Crop, read_crop
from stadkit.video.timestamps import Clock, Seams, is_seam
from stadkit.video.truncation import UNKNOWN, Structure, TruncationCheck, structure
from stadkit.video.upright import cropped_rgb, orientation, to_rgb

MAX_THREADS = 4
MAX_FAILURES = 100  # consecutive read errors before the rest of the file is abandoned


class PyavVideo(Video):
    """The default reader; holds the decoder and one frame read ahead."""

    def __init__(self, path: Path, threads: int = MAX_THREADS, container: Any = None) -> None:
        """`container`: an already opened container, used instead of the file."""
        self._container = container or open_container(path)
        self._path = None if container else path  # None for a stream
        try:
            self._stream = video_stream(self._container, path, threads)
            self._errors = self._damaged = self._frames = 0
            self._seams = Seams()
            self._ended = False
            self._reformatter = VideoReformatter()
            self._orientations: dict[int, tuple[bool, bool, bool]] = {}
            self.crop = _crop(self._path, self._container, self._stream)
            self._stamps: deque[int | None] = deque(maxlen=64)
            tick, period = pace(self._stream)
            self._clock = Clock(self._stream.start_time, tick, period)
            duration = declared_duration(self._container, self._stream, period)
            self._loss = TruncationCheck(self._container, self._stream, period, duration)
            listed = listed_frames(self._container, self._stream)
            self._decoded_frames = self._decode()
            decoded = next(self._decoded_frames, None)
            if decoded is None:
                raise VideoError(f"{shown(path)}: {self._why_empty()}.")
            self._damaged += decoded.is_corrupt
            self._first: Frame | None = self._frame(decoded)
            start = self._clock.start
            size = self._first.size
            self.info = _info(path, self._container, self._stream, decoded, size, start, listed)
        except BaseException:
            self._container.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        if self._first is not None:
            first, self._first = self._first, None
            self._frames += 1
            yield first
        for decoded in self._decoded_frames:
            self._frames += 1
            self._damaged += decoded.is_corrupt
            yield self._frame(decoded)

    @property
    def report(self) -> Report:
        listed = self.info.expected
        expected, signs = listed, []
        if self._ended:
            boxes, indexed = self._boxes, self._container.format.name == "avi"
            if indexed and boxes.state != "complete":
                expected = None
            elif indexed and listed and self._loss.packets >= listed:
                expected = self._frames  # decoders may drop frames without changes
            signs = self._loss.signs(expected is not None, boxes)
            missing_end = self._loss.missing_end(boxes) if expected is None else None
            if missing_end:
                end, duration = missing_end
                expected = max(self._frames + 1, round(self._frames * duration / end))
                signs.insert(0, f"it ends at {end:.1f} s of {duration:.1f} s")
        report = judge(self._frames, expected, self._errors, self._damaged, self._ended, signs)
        return replace(report, note=self._seams.note)

    @cached_property
    def _boxes(self) -> Structure:
        """Box structure of the file; unknown for a stream."""
        return structure(self._path, self._container.format.name) if self._path else UNKNOWN

    def close(self) -> None:
        self._decoded_frames.close()
        self._container.close()

    def _frame(self, decoded: Any) -> Frame:
        stamp = self._stamp(decoded)
        transform = self._orientation(decoded)
        aspect = pixel_aspect(self._stream)
        time = self._clock.seconds(stamp)
        convert = partial(cropped_rgb, self.crop) if any(self.crop) else to_rgb
        duration = float((decoded.duration or 0) * (decoded.time_base or 0))
        self._loss.frame(time, duration, self._clock.start)
        return Frame(
            time=time,
            size=displayed(*self.crop.inside(decoded.width, decoded.height), aspect, transform[0]),
            pts=stamp,
            convert=partial(convert, decoded, transform, self._reformatter),
            after_gap=self._seams.frame(time),
        )

    def _orientation(self, decoded: Any) -> tuple[bool, bool, bool]:
        # Accessing a PyAV frame's side data creates a reference cycle, freed only by the garbage
        # collector hundreds of frames later: read it once per rotation.
        if decoded.rotation not in self._orientations:
            self._orientations[decoded.rotation] = orientation(decoded)
        return self._orientations[decoded.rotation]

    def _stamp(self, decoded: Any) -> int | None:
        # AVI stores timestamps in decoding order, which is wrong with B-frames; but the i-th
        # displayed frame has the i-th timestamp.
        if self._container.format.name == "avi" and self._stamps:
            return self._stamps.popleft()
        stamp: int | None = decoded.pts
        return stamp

    def _decode(self) -> Generator[Any, None, None]:
        for packet in self._packets():
            if packet is not None:
                self._stamps.append(packet.dts)
                self._errors += packet.is_corrupt and not self._at_seam(packet)
            try:
                yield from self._stream.decode(packet)
            except av.FFmpegError:
                if packet is not None:
                    self._errors += not packet.is_corrupt
                    self._stamps.pop()
        self._ended = True

    def _at_seam(self, packet: Any) -> bool:
        """Whether only the counter jumps after this packet, where two streams were concatenated."""
        if self._container.format.name != "mpegts" or not self._path or packet.pos is None:
            return False
        found = is_seam(self._path, packet.pos, self._stream.id)
        if found:
            self._seams.packet()
        return found

    def _packets(self) -> Iterator[Any]:
        """Every packet, then None, which drains the decoder; continues after errors."""
        failures = 0
        while failures < MAX_FAILURES:
            try:
                for packet in self._container.demux():
                    failures = 0
                    # An empty packet repeats a frame (AVI) or marks the end (PyAV).
                    if packet.size and packet.stream_index == self._stream.index:
                        self._loss.packet(packet)
                        yield packet
                    elif packet.dts is not None:
                        self._loss.other(packet)
                break
            except (av.FFmpegError, IndexError):  # IndexError: a stream not seen at opening
                self._errors += failures == 0
                failures += 1
        yield None

    def _why_empty(self) -> str:
        if self._errors:
            return f"no frame can be decoded (damaged packets: {self._errors}); get a complete copy"
        if self._stream.frames:
            return f"contains none of its {self._stream.frames} frames; get a complete copy"
        return "its video stream has no frames; get a complete copy"


def _crop(path: Path | None, container: Any, stream: Any) -> Crop:
    try:
        return read_crop(path, container, stream) if path else NO_CROP
    except OSError:
        return NO_CROP


def _info(
    path: Path,
    container: Any,
    stream: Any,
    first: Any,
    size: tuple[int, int],
    start: float,
    expected: int | None,
) -> VideoInfo:
    transposed, flip_rows, flip_columns = orientation(first)
    height, width = size
    duration = stream_duration(container, stream)
    rate = 1 / pace(stream)[1]
    return VideoInfo(
        path=path,
        width=width,
        height=height,
        rotation=round(first.rotation / 90) % 4 * 90,
        # A rotation by 90 or 270 degrees is a transpose and one flip; by 0 or 180, no or two flips.
        mirrored=transposed ^ flip_rows ^ flip_columns,
        rate=rate,
        start=start,
        duration=duration,
        expected=expected,
        container=container.format.name.split(",")[0],
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=first.format.name,
    )
