"""Video in, with PyAV: one sequential pass, upright frames, seconds from the start.

Never seeks, never believes a frame count or `n / fps`. A packet that cannot be decoded is
counted and the next one tried.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from stadkit.errors import UsageError, VideoError
from stadkit.video.check import JPEG, check_file, has_moov, looks_like_mp4, shown
from stadkit.video.crop import NO_CROP, Crop, read_crop
from stadkit.video.frame import Frame, Pixels, Report, Video, VideoInfo, displayed, judge
from stadkit.video.resize import resized
from stadkit.video.timestamps import Clock, Seams, is_seam
from stadkit.video.truncation import UNKNOWN, Promise, Structure, TruncationCheck, structure

# No playlist, image sequence, device or network format: those lead to other files.
FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,asf,flv,gif,ogg,ivf,nut,mxf,"
    "dv,obu,rm,wtv,yuv4mpegpipe,mjpeg"
)
# Their headers tell how long they are, as MP4's kind do. FFmpeg takes the length of others from
# their last stamps, which a cut moves too.
TIMED = ("matroska,webm", "flv", "asf", "nut", "mxf")
RAW = ("h264", "hevc", "mpegvideo", "m4v")  # a coded stream without a container
MOST_PIXELS = 1 << 27  # 16k x 8k; a damaged header must not take all memory
MOST_THREADS = 4
READERS = ("pyav", "decord")
MOST_FAILURES = 100  # read errors in a row before the rest is given up

PLAIN = Interpolation.BILINEAR
# Areas averaged when it shrinks, linear when it grows. Without accurate rounding and full chroma
# swscale is up to 3 levels off and smears colour.
SCALER = (
    Interpolation.AREA
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


def probe(path: Path | str) -> VideoInfo:
    """What a video is, from its headers and first frame; raises VideoError as `open_video`."""
    with open_video(path) as video:
        return video.info


def open_video(path: Path | str, reader: str = "pyav", threads: int = MOST_THREADS) -> Video:
    """A video to be read once; `reader` is "pyav" or "decord".

    `threads`: decoding threads at most. With more than one, the frames that a decoder mends in
    a damaged file may differ from run to run; sound files always give the same.

    Raises VideoError, in one line, for anything that gives no frame: a missing or empty file,
    a folder, pipe or socket, text, a playlist, audio only, no index, an unknown codec.
    """
    check_reader(reader)
    if reader == "pyav":
        return PyavVideo(Path(path), threads)
    from stadkit.video.decord_reader import DecordVideo

    return DecordVideo(Path(path), threads)


def check_reader(reader: str) -> None:
    """Raises UsageError for a reader that does not exist or is not installed."""
    if reader not in READERS:
        raise UsageError(f"no video reader called {reader!r}; there are: {', '.join(READERS)}.")
    if reader == "decord" and find_spec("decord") is None:
        raise UsageError(
            "the decord reader is not installed (it has no wheels for this platform, or "
            "`pip install decord` is needed); use the pyav reader."
        )


class PyavVideo(Video):
    """The first reader; holds the decoder and the one frame read ahead."""

    def __init__(self, path: Path, threads: int = MOST_THREADS, container: Any = None) -> None:
        """`container`: opened already; else that of the file."""
        self._container = container or open_container(path)
        self._path = None if container else path  # of a file on this machine
        try:
            self._stream = video_stream(self._container, path, threads)
            self._errors = self._damaged = self._frames = 0
            self._seams = Seams()
            self._ended = False
            self._reformatter = VideoReformatter()
            self._turns: dict[int, tuple[bool, bool, bool]] = {}
            self.crop = _crop(self._path, self._container, self._stream)
            self._stamps: deque[int | None] = deque(maxlen=64)
            tick, period = pace(self._stream)
            self._clock = Clock(self._stream.start_time, tick, period)
            promise = promised(self._container, self._stream, period)
            self._loss = TruncationCheck(self._container, self._stream, period, promise)
            listed = _listed(self._container, self._stream)
            self._pictures = self._decode()
            picture = next(self._pictures, None)
            if picture is None:
                raise VideoError(f"{shown(path)}: {self._why_empty()}.")
            self._damaged += picture.is_corrupt
            self._first: Frame | None = self._frame(picture)
            start = self._clock.start
            size = self._first.size
            self.info = _info(path, self._container, self._stream, picture, size, start, listed)
        except BaseException:
            self._container.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        if self._first is not None:
            first, self._first = self._first, None
            self._frames += 1
            yield first
        for picture in self._pictures:
            self._frames += 1
            self._damaged += picture.is_corrupt
            yield self._frame(picture)

    @property
    def report(self) -> Report:
        listed = self.info.expected
        expected, signs = listed, []
        if self._ended:
            boxes, indexed = self._boxes, self._container.format.name == "avi"
            if indexed and boxes.state != "whole":
                expected = None
            elif indexed and listed and self._loss.packets >= listed:
                expected = self._frames  # a decoder may pass over one that says: nothing moves
            signs = self._loss.signs(expected is not None, boxes)
            short = self._loss.short(boxes) if expected is None else None
            if short:
                end, promised = short
                expected = max(self._frames + 1, round(self._frames * promised / end))
                signs.insert(0, f"it ends at second {end:.1f} of {promised:.1f}")
        report = judge(self._frames, expected, self._errors, self._damaged, self._ended, signs)
        return replace(report, note=self._seams.note)

    @cached_property
    def _boxes(self) -> Structure:
        """What the file's boxes tell; of a stream nothing."""
        return structure(self._path, self._container.format.name) if self._path else UNKNOWN

    def close(self) -> None:
        self._pictures.close()
        self._container.close()

    def _frame(self, picture: Any) -> Frame:
        stamp = self._stamp(picture)
        turn = self._turn(picture)
        aspect = _aspect(self._stream)
        time = self._clock.seconds(stamp)
        convert = partial(cropped_rgb, self.crop) if any(self.crop) else to_rgb
        lasts = float((picture.duration or 0) * (picture.time_base or 0))
        self._loss.frame(time, lasts, self._clock.start)
        return Frame(
            time=time,
            size=displayed(*self.crop.inside(picture.width, picture.height), aspect, turn[0]),
            pts=stamp,
            convert=partial(convert, picture, turn, self._reformatter),
            anew=self._seams.frame(time),
        )

    def _turn(self, picture: Any) -> tuple[bool, bool, bool]:
        # Asking a PyAV frame for its side data ties it to itself, and it is freed only when
        # Python next looks for cycles, hundreds of frames later: so ask once for each rotation.
        if picture.rotation not in self._turns:
            self._turns[picture.rotation] = orientation(picture)
        return self._turns[picture.rotation]

    def _stamp(self, picture: Any) -> int | None:
        # AVI stores only decoding order; with B-frames its stamps land on the wrong frames,
        # but the i-th frame shown has the i-th stamp.
        if self._container.format.name == "avi" and self._stamps:
            return self._stamps.popleft()
        stamp: int | None = picture.pts
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
        """Whether only a counter jumps behind it, where two streams were glued together."""
        if self._container.format.name != "mpegts" or not self._path or packet.pos is None:
            return False
        found = is_seam(self._path, packet.pos, self._stream.id)
        if found:
            self._seams.packet()
        return found

    def _packets(self) -> Iterator[Any]:
        """Every packet, then None, which drains the decoder; reads on after an error."""
        failures = 0
        while failures < MOST_FAILURES:
            try:
                for packet in self._container.demux():
                    failures = 0
                    # An empty one is AVI's "same frame again", or PyAV's sign of the end.
                    if packet.size and packet.stream_index == self._stream.index:
                        self._loss.packet(packet)
                        yield packet
                    elif packet.dts is not None:
                        self._loss.other(packet)
                break
            except (av.FFmpegError, IndexError):  # IndexError: a stream that opening did not see
                self._errors += failures == 0
                failures += 1
        yield None

    def _why_empty(self) -> str:
        if self._errors:
            return f"no frame can be decoded (damaged packets: {self._errors}); get a whole copy"
        if self._stream.frames:
            return f"none of its {self._stream.frames} frames are there; get a whole copy"
        return "has a video stream without a frame; nothing to look at"


def open_container(path: Path) -> Any:
    """The file opened by FFmpeg, local formats only; raises VideoError."""
    head = check_file(path)
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    kind = "mjpeg" if head.startswith(JPEG) else None  # else FFmpeg takes it for one picture
    try:
        # "file:" keeps a name such as `concat:a.mp4` or `-` from being taken as a protocol.
        container = av.open(f"file:{path}", format=kind, options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        why = f"is not a video FFmpeg can read ({error.strerror}); get a whole copy or an mp4"
        raise VideoError(f"{shown(path)}: {_without_index(head, path) or why}.") from error
    if not container.streams.video:
        # An index that was cut in the middle may still open, as a stream of nothing known.
        nothing = "is a video file with nothing in it; get a whole copy"
        lacking = _without_index(head, path) or (None if container.streams else nothing)
        if lacking:
            container.close()
            raise VideoError(f"{shown(path)}: {lacking}.")
    return container


def video_stream(container: Any, path: Path, threads: int = 1) -> Any:
    """The main video stream, set to decode on so many threads; raises VideoError if none."""
    films = [s for s in container.streams.video if not _is_cover(s)]
    if not films:
        kind = "audio only" if container.streams.audio else "no video stream"
        raise VideoError(f"{shown(path)}: holds {kind}; give a file with pictures.")
    best = container.streams.best("video")
    stream = best if best in films else films[0]
    if stream.codec_context is None:
        raise VideoError(
            f"{shown(path)}: its codec is unknown to FFmpeg; convert it to H.264 first."
        )
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = min(threads, os.cpu_count() or 1)
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return stream


def orientation(picture: Any) -> tuple[bool, bool, bool]:
    """(transpose, then flip rows, then flip columns) that make a stored frame upright.

    From the display matrix [a b u; c d v; x y w]: x' = a x + c y, y' = b x + d y.
    """
    data = picture.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(data), "<i4")[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, b < 0, c < 0
    return False, d < 0, a < 0


def to_rgb(
    picture: Any,
    turn: tuple[bool, bool, bool],
    reformatter: VideoReformatter,
    height: int,
    width: int,
) -> Pixels:
    """Upright pixels [height, width, 3] of an av.VideoFrame, in its own matrix and range."""
    transpose, flip_rows, flip_columns = turn
    w, h = (height, width) if transpose else (width, height)
    # At its own size a frame takes swscale's quick way, which leaves out the slow exact rounding.
    scaler = PLAIN if (w, h) == (picture.width, picture.height) else SCALER
    try:
        picture = reformatter.reformat(picture, w, h, "rgb24", interpolation=scaler, threads=1)
    except av.FFmpegError as error:
        raise VideoError(
            f"frames of pixel format {picture.format.name} cannot be shown ({error.strerror}); "
            "convert the video to yuv420p."
        ) from error
    pixels = picture.to_ndarray()
    if transpose:
        pixels = pixels.transpose(1, 0, 2)
    pixels = pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return np.array(pixels, np.uint8, order="C")


def cropped_rgb(
    crop: Crop,
    picture: Any,
    turn: tuple[bool, bool, bool],
    reformatter: VideoReformatter,
    height: int,
    width: int,
) -> Pixels:
    """As `to_rgb`, of what the container does not cut off."""
    whole = to_rgb(picture, (False, False, False), reformatter, picture.height, picture.width)
    right, bottom = picture.width - crop.right, picture.height - crop.bottom
    transpose, flip_rows, flip_columns = turn
    pixels = whole[crop.top : bottom, crop.left : right]
    if transpose:
        pixels = pixels.transpose(1, 0, 2)
    pixels = pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return resized(np.ascontiguousarray(pixels), height, width)


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
    turned, flip_rows, flip_columns = orientation(first)
    height, width = size
    duration = _duration(container, stream)
    rate = 1 / pace(stream)[1]
    return VideoInfo(
        path=path,
        width=width,
        height=height,
        rotation=round(first.rotation / 90) % 4 * 90,
        # A turn by 90 or 270 degrees is a transpose and one flip, by 0 or 180 none or two.
        mirrored=turned ^ flip_rows ^ flip_columns,
        rate=rate,
        start=start,
        duration=duration,
        expected=expected,
        container=container.format.name.split(",")[0],
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=first.format.name,
    )


def pace(stream: Any) -> tuple[float, float]:
    """(seconds a tick, seconds a frame on average)."""
    rates = [stream.average_rate, stream.guessed_rate, stream.base_rate]
    if stream.container.format.name in RAW:
        # The average is FFmpeg's own 25, whatever the stream says of itself.
        rates = [stream.codec_context.framerate, *rates[1:], rates[0]]
    sane = [rate for rate in rates if rate and 1e-4 <= rate <= 1e4]
    return float(stream.time_base or 1), float(1 / sane[0]) if sane else 1 / 25


def _duration(container: Any, stream: Any) -> float | None:
    """Seconds of the video stream as the file says; None where it does not say."""
    if stream.duration and stream.time_base:
        return max(0.0, float(stream.duration * stream.time_base))
    if "DURATION" in stream.metadata:  # Matroska: "00:00:02.000000000"
        try:
            hours, minutes, seconds = stream.metadata["DURATION"].split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            return None
    alone = len(container.streams) == 1  # sound may well be longer than the pictures
    return container.duration / av.time_base if alone and container.duration else None


def promised(container: Any, stream: Any, period: float) -> Promise | None:
    """How long the file says it is, by its header; None where FFmpeg measured it itself."""
    name = container.format.name
    if name == "avi":  # FFmpeg corrects the duration of one that is cut
        return Promise(stream.frames * period, False) if stream.frames else None
    if name not in TIMED and not name.startswith("mov"):
        return None
    if seconds := _duration(container, stream):
        return Promise(seconds, False)
    return Promise(container.duration / av.time_base, True) if container.duration else None


def _listed(container: Any, stream: Any) -> int | None:
    """Frames that the file lists one by one; None where it does not."""
    name, entries = container.format.name, stream.index_entries
    if name.startswith("mov") and stream.frames == len(entries):
        # What an edit list cuts is not missed.
        return sum(not entry.is_discard for entry in entries) or None
    # Not the length in AVI's header: it counts the empty chunks too, which are no frames.
    return len(entries) or None if name == "avi" else None


def _aspect(stream: Any) -> float:
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return float(aspect) if aspect else 1.0


def _without_index(head: bytes, path: Path) -> str | None:
    if not looks_like_mp4(head) or has_moov(path):
        return None
    return (
        "has no whole moov atom (its index): recording or download was cut short; get a whole copy"
    )


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & type(stream.disposition).attached_pic)
