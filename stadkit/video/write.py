"""Video out: H.264 in MP4 that browsers and players show.

A video's sound, copied as it is beside new pictures.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from stadkit.detections import Detections
from stadkit.errors import UsageError, VideoError
from stadkit.tubes import Tubes
from stadkit.video.between import InterpolatedPeople
from stadkit.video.check import shown
from stadkit.video.container import open_container
from stadkit.video.decode import open_video
from stadkit.video.draw import draw_people, label_lines
from stadkit.video.follow import Follow
from stadkit.video.frame import Frame, Pixels, Report, Video
from stadkit.video.keys import CLOSE

TICKS = 90_000  # a second: fine enough to keep any source's frame times


class VideoWriter:
    """Writes frames with their own times: libx264, yuv420p in BT.709, index first (+faststart).

    H.264 in 4:2:0 wants even sides, so an odd last row or column is repeated once. The file
    has a temporary name until `close`; after an error nothing is left behind. Raises VideoError
    where the file cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        width: int,
        height: int,
        rate: float,
        *,
        crf: int = 20,
        preset: str = "veryfast",
        threads: int = 0,
        sound: Sound | None = None,
    ) -> None:
        """`width`, `height`: pixels of the frames to come; `rate`: frames a second, a hint for
        players; `crf`: 0 (lossless) to 51; `threads`: of the encoder, 0 for all cores; `sound`:
        copied along, up to the last frame."""
        self.path, self.size = Path(path), (height, width)
        # Not made from the name, which may already be as long as names can be.
        self._partial = self.path.with_name(f".stadkit-{uuid4().hex}.partial")
        self._last = (-1.0, -1)  # seconds and stamp of the frame before
        self._reformatter = VideoReformatter()
        # "file:" keeps a name with a colon from being taken as a protocol.
        self._container = av.open(
            f"file:{self._partial}", "w", format="mp4", options={"movflags": "+faststart"}
        )
        # x264's macroblock tree reads memory that nobody wrote: the same pictures would give other
        # bytes now and then.
        options = {"crf": str(crf), "preset": preset, "x264-params": "mbtree=0"}
        self._stream = self._container.add_stream("libx264", rate=_fraction(rate), options=options)
        self._set_up(threads)
        self._sound = sound if sound is not None and sound.stream is not None else None
        if self._sound:
            self._sound_stream = self._container.add_stream_from_template(self._sound.stream)
        try:
            self._container.start_encoding()  # opens the file
        except (av.FFmpegError, OSError) as error:
            self.abandon()
            raise self._failure(error) from error

    @property
    def empty(self) -> bool:
        """Whether no frame was written yet."""
        return self._last[1] < 0

    def write(self, rgb: Pixels, time: float) -> None:
        """Adds a frame uint8 [H, W, 3] shown from `time` (seconds); times must rise."""
        if rgb.shape != (*self.size, 3) or rgb.dtype != np.uint8:
            raise ValueError(f"frame is {rgb.dtype} {rgb.shape}, wants uint8 {(*self.size, 3)}")
        if time <= self._last[0]:
            raise ValueError(f"frame at {time} s does not come after the one before")
        stamp = max(round(time * TICKS), self._last[1] + 1)
        self._last = (time, stamp)
        frame = av.VideoFrame.from_ndarray(_even(rgb), "rgb24")
        frame = self._reformatter.reformat(
            frame,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND,
            threads=1,
        )
        frame.pts, frame.time_base = stamp, Fraction(1, TICKS)
        self._mux(self._stream.encode, frame)
        if self._sound:
            self._mux(self._sound.until, time, self._sound_stream)

    def close(self) -> None:
        """Ends the file and gives it its name."""
        self._mux(self._stream.encode, None)
        try:
            self._container.close()
            os.replace(self._partial, self.path)
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def abandon(self) -> None:
        """Drops what was written."""
        try:
            self._container.close()
        except (av.FFmpegError, OSError):  # a full disk: the file goes all the same
            pass
        finally:
            self._partial.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.abandon()
            return
        try:
            self.close()
        except BaseException:
            self.abandon()
            raise

    def _set_up(self, threads: int) -> None:
        height, width = self.size
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.thread_count = threads
        # Said outright, since players guess by size where a file is silent. 1: BT.709.
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = ColorRange.MPEG

    def _mux(self, source: Callable[..., list[Any]], *values: Any) -> None:
        try:
            self._container.mux(source(*values))
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> VideoError:
        why = getattr(error, "strerror", None) or error
        return VideoError(
            f"{shown(self.path)}: cannot be written: {why}; check the folder and its free space."
        )


def save_video(
    source: Path | str,
    table: Detections,
    out: Path | str,
    *,
    times: NDArray[np.float64] | None = None,
    tubes: Tubes | None = None,
    start: float = 0.0,
    duration: float | None = None,
    min_action: float = 0.3,
    most: int = 5,
    reader: str = "pyav",
    crf: int = 20,
) -> Report:
    """Writes the source video with the table's people drawn on every frame.

    table: rows of this one video; between keyframes boxes move along the same person (see
    `between.Motion`; times [k]: keyframes looked at, empty ones too). tubes: what linking made of
    the table, whose tracks then say who is who: an id and a colour a track, labels where a tube
    is, boxes past missed keyframes dashed (see `follow.Follow`). min_action: lowest score with a
    label; most: labels a person. start, duration (seconds): the part that is written, its
    second 0 at `start`; else all. Size (upright, square pixels; odd sides grow by one) and
    frame times are the source's; AAC sound is copied, other sound is left out. Gives the
    report of the reading; raises VideoError, also where the source ends before `start`, and
    UsageError where `out` is the source.
    """
    source, out = Path(source), Path(out)
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"{shown(out)}: is the source video; write to another file.")
    draw = _painter(table, times, tubes, min_action, most)
    with (
        open_video(source, reader) as video,
        closing(Sound(source, video.info.start + start)) as sound,
    ):
        width, height, rate = video.info.width, video.info.height, video.info.rate
        with VideoWriter(out, width, height, rate, crf=crf, sound=sound) as writer:
            for frame in _within(video, start, duration):
                drawn = draw(frame.rgb(height, width), frame.time)
                writer.write(drawn, max(0.0, frame.time - start))
            if writer.empty:
                raise VideoError(f"{shown(source)}: ends before {start:g} s; nothing to draw.")
        return video.report


def _painter(
    table: Detections,
    times: NDArray[np.float64] | None,
    tubes: Tubes | None,
    min_action: float,
    most: int,
) -> Callable[[Pixels, float], Pixels]:
    """What draws the people of a time on a frame."""
    if tubes is not None:
        follow = Follow(table, tubes, table.time if times is None else times, min_action, most)

        def linked(pixels: Pixels, time: float) -> Pixels:
            scene = follow.at(time)
            return draw_people(pixels, scene.box, scene.track, scene.lines, scene.edge)

        return linked
    motion = InterpolatedPeople(table, times)
    lines = [label_lines(scores, table.classes, min_action, most) for scores in table.action]

    def each(pixels: Pixels, time: float) -> Pixels:
        seen = motion.at(time)
        labels = [lines[row] for row in seen.row]
        return draw_people(pixels, seen.box, seen.person.tolist(), labels)

    return each


def _within(video: Video, start: float, duration: float | None) -> Iterator[Frame]:
    """The frames from `start` on, for `duration` seconds."""
    end = np.inf if duration is None else start + duration - CLOSE
    for frame in video:
        if frame.time >= end:
            return
        if frame.time >= start - CLOSE:
            yield frame


def _even(rgb: Pixels) -> Pixels:
    odd_rows, odd_columns = rgb.shape[0] % 2, rgb.shape[1] % 2
    if not (odd_rows or odd_columns):
        return np.ascontiguousarray(rgb)
    return np.pad(rgb, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")


def _fraction(rate: float) -> Fraction:
    return Fraction(rate).limit_denominator(1001) if rate > 0 else Fraction(25)


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
