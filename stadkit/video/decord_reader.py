"""The alternative reader, decord, behind the same interface; refuses files it would misread.

decord's FFmpeg dates from 2018: no AV1, no MPEG-TS, no timestamps in AVI, edit lists ignored, and
its timestamps are 32-bit (1 ms off after three hours). So PyAV reads the headers and the packets'
timestamps, decord only the pixels, and files where their frame counts differ are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.errors import VideoError
from stadkit.video.check import shown
from stadkit.video.container import open_container, pace, video_stream
from stadkit.video.frame import Frame, Pixels, Report, Video, judge
from stadkit.video.pyav_reader import PyavVideo
from stadkit.video.resize import resized
from stadkit.video.timestamps import Clock

CONTAINERS = ("mov", "matroska")
CODECS = ("h264", "hevc", "mpeg4", "vp8", "vp9")


class DecordVideo(Video):
    """Reads sequentially with decord. Raises VideoError for files that need PyAV."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        with PyavVideo(path) as video:
            self.info = replace(video.info, reader="decord")
            _check_supported(video.info.container, video.info.codec, path)
            if video.info.mirrored:
                raise _refusal(path, "the display matrix mirrors the video")
            if any(getattr(video, "crop", ())):
                raise _refusal(path, "the container crops the video")
        self._stamps, self._clock = _stamps(path)
        self._reader = _open(path, threads)
        self._check_count(path)
        self._frames = self._errors = 0
        self._ended = False

    def __iter__(self) -> Iterator[Frame]:
        for stamp in self._stamps[self._frames :].tolist():
            pixels = self._next()
            if pixels is None:
                break
            self._frames += 1
            size = (self.info.height, self.info.width)
            yield Frame(self._clock.seconds(stamp), size, stamp, partial(resized, pixels))
        self._ended = True

    @property
    def report(self) -> Report:
        return judge(self._frames, len(self._stamps), self._errors, ended=self._ended)

    def close(self) -> None:
        self._reader = None

    def _next(self) -> Pixels | None:
        """The next frame, or None at the end; decord cannot continue after an error."""
        import decord

        try:
            pixels: Pixels = self._reader.next().asnumpy()
        except (decord.DECORDError, StopIteration):
            self._errors += 1
            return None
        return pixels

    def _check_count(self, path: Path) -> None:
        count = len(self._reader)
        if count != len(self._stamps):
            raise _refusal(path, f"it counts {count} frames instead of {len(self._stamps)}")
        decord_times = self._reader.get_frame_timestamp(np.arange(count))[:, 0].astype(np.float64)
        times = (self._stamps - self._stamps[0]) * self._clock.tick
        if np.abs(decord_times - decord_times[0] - times).max() > 0.002:  # decord's are 32-bit
            raise _refusal(path, "its frame times are wrong")


def _check_supported(container: str, codec: str, path: Path) -> None:
    if container not in CONTAINERS:
        raise _refusal(path, f"it gives no correct frame times for {container} files")
    if codec not in CODECS:
        raise _refusal(path, f"it does not decode {codec} correctly")


def _stamps(path: Path) -> tuple[NDArray[np.int64], Clock]:
    """Presentation timestamps of the displayed frames in order, from packets alone."""
    with open_container(path) as container:
        stream = video_stream(container, path)
        clock = Clock(stream.start_time, *pace(stream))
        packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
        stamps = [p.pts for p in packets]
    if None in stamps:
        raise _refusal(path, "some frames have no timestamp")
    return np.sort(np.array(stamps, np.int64)), clock


def _open(path: Path, threads: int) -> Any:
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    try:
        return decord.VideoReader(str(path.absolute()), num_threads=threads)
    except (decord.DECORDError, RuntimeError, AssertionError, UnicodeError) as error:
        raise _refusal(path, "it cannot open it") from error


def _refusal(path: Path, why: str) -> VideoError:
    return VideoError(f"{shown(path)}: decord would misread this file: {why}; use the pyav reader.")
