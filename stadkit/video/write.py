"""Video output: H.264 in MP4 for browsers and players, with the source's audio copied."""

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
from stadkit.video.check import shown
from stadkit.video.container import open_container
from stadkit.video.decode import open_video
from stadkit.video.draw import draw_people, label_lines
from stadkit.video.follow import Follow, InterpolatedPeople
from stadkit.video.frame import Frame, Pixels, Report, Video
from stadkit.video.keys import CLOSE

TICKS = 90_000  # per second: fine enough for any source's frame times


class VideoWriter:
    """Writes frames with timestamps: libx264, yuv420p in BT.709, index first (+faststart).

    H.264 in 4:2:0 requires even sides, so an odd last row or column is repeated once. The file
    has a temporary name until `close`, and is removed after an error. Raises VideoError if the
    file cannot be written.
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
        """`width`, `height`: frame size in pixels; `rate`: frames per second, a hint for players;
        `crf`: 0 (lossless) to 51; `threads`: of the encoder, 0 for all cores; `sound`: audio to
        copy, up to the last frame."""
        self.path, self.size = Path(path), (height, width)
        # Not derived from the name, which may already have the maximum length.
        self._partial = self.path.with_name(f".stadkit-{uuid4().hex}.partial")
        self._last = (-1.0, -1)  # time and timestamp of the last frame
        self._reformatter = VideoReformatter()
        # "file:" keeps names with a colon from being parsed as protocols.
        self._container = av.open(
            f"file:{self._partial}", "w", format="mp4", options={"movflags": "+faststart"}
        )
        # x264's macroblock tree reads uninitialized memory, so identical frames would occasionally
        # give different bytes.
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
        """Whether no frame has been written yet."""
        return self._last[1] < 0

    def write(self, rgb: Pixels, time: float) -> None:
        """Add a frame uint8 [H, W, 3] at `time` seconds; times must ascend."""
        if rgb.shape != (*self.size, 3) or rgb.dtype != np.uint8:
            raise ValueError(f"frame is {rgb.dtype} {rgb.shape}, wants uint8 {(*self.size, 3)}")
        if time <= self._last[0]:
            raise ValueError(f"frame time {time} s is not after the previous {self._last[0]} s")
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
        """Finish the file and give it its final name."""
        self._mux(self._stream.encode, None)
        try:
            self._container.close()
            os.replace(self._partial, self.path)
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def abandon(self) -> None:
        """Delete the unfinished file."""
        try:
            self._container.close()
        except (av.FFmpegError, OSError):  # a full disk: delete the file all the same
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
        # Explicit, since players otherwise guess from the frame size. 1: BT.709.
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
    """Write the source video with the table's people drawn on every frame.

    table: rows of this one video; boxes are interpolated between keyframes (see
    `between.InterpolatedPeople`). times [k]: analysed keyframes, including empty ones. tubes: the
    tubes of the linked table; each track then has an id and a colour, labels come from the tubes,
    and boxes past missed keyframes are dashed (see `follow.Follow`). min_action: minimum score of
    a label; most: maximum labels per person. start, duration: the part to write, in seconds, with
    time 0 at `start`; default all. Size (upright, square pixels; odd sides grow by one) and frame
    times are the source's; AAC audio is copied, other audio is dropped. Returns the report of the
    reading; raises VideoError, also if the source ends before `start`, and UsageError if `out` is
    the source.
    """
    source, out = Path(source), Path(out)
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"{shown(out)}: is the source video; choose another output file.")
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
                raise VideoError(
                    f"{shown(source)}: ends before the start at {start:g} s; give an earlier start."
                )
        return video.report


def _painter(
    table: Detections,
    times: NDArray[np.float64] | None,
    tubes: Tubes | None,
    min_action: float,
    most: int,
) -> Callable[[Pixels, float], Pixels]:
    """A function that draws the people at a time on a frame."""
    if tubes is not None:
        follow = Follow(table, tubes, table.time if times is None else times, min_action, most)

        def draw_linked(pixels: Pixels, time: float) -> Pixels:
            scene = follow.at(time)
            return draw_people(pixels, scene.box, scene.track, scene.lines, scene.edge)

        return draw_linked
    motion = InterpolatedPeople(table, times)
    lines = [label_lines(scores, table.classes, min_action, most) for scores in table.action]

    def draw_unlinked(pixels: Pixels, time: float) -> Pixels:
        visible = motion.at(time)
        labels = [lines[row] for row in visible.row]
        return draw_people(pixels, visible.box, visible.person.tolist(), labels)

    return draw_unlinked


def _within(video: Video, start: float, duration: float | None) -> Iterator[Frame]:
    """The frames from `start` onwards, for `duration` seconds."""
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
    """The AAC packets of a file, read up to a given time; empty without AAC audio.

    Other codecs and AAC without a header (MPEG-TS) would need re-encoding for MP4 and are dropped.
    """

    def __init__(self, path: Path, start: float) -> None:
        """`start`: the container's timestamp of time 0 of the video, in seconds."""
        self._container = open_container(path)
        self.stream = self._container.streams.best("audio")
        context = self.stream.codec_context if self.stream is not None else None
        if context is None or context.name != "aac" or not context.extradata:
            self.stream = None
        self._start = start
        self._last: int | None = None
        self._packets = self._container.demux(self.stream) if self.stream else iter(())
        self._pending: Any = None

    def until(self, time: float, output: Any) -> list[Any]:
        """The packets that start before `time` (seconds), assigned to an output stream."""
        ready = []
        while (packet := self._pending or self._read()) is not None:
            self._pending = None
            if packet.pts * packet.time_base > time:
                self._pending = packet
                break
            packet.stream = output
            ready.append(packet)
        return ready

    def close(self) -> None:
        self._container.close()

    def _read(self) -> Any:
        """The next packet at or after time 0, its timestamps shifted to start there."""
        try:
            for packet in self._packets:
                if packet.pts is None or packet.dts is None:
                    continue
                shift = round(Fraction(self._start) / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                if packet.dts >= 0 and (self._last is None or packet.dts > self._last):
                    self._last = packet.dts
                    return packet
        except (av.FFmpegError, IndexError):  # IndexError: a stream not seen at opening
            pass  # damaged: the video continues without audio
        return None
