"""A video file opened with FFmpeg, and what its headers say: rate, length, frames listed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av

from stadkit.errors import VideoError
from stadkit.video.check import JPEG, check_file, has_moov, looks_like_mp4, shown
from stadkit.video.truncation import Promise

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


def pace(stream: Any) -> tuple[float, float]:
    """(seconds a tick, seconds a frame on average)."""
    rates = [stream.average_rate, stream.guessed_rate, stream.base_rate]
    if stream.container.format.name in RAW:
        # The average is FFmpeg's own 25, whatever the stream says of itself.
        rates = [stream.codec_context.framerate, *rates[1:], rates[0]]
    sane = [rate for rate in rates if rate and 1e-4 <= rate <= 1e4]
    return float(stream.time_base or 1), float(1 / sane[0]) if sane else 1 / 25


def stream_duration(container: Any, stream: Any) -> float | None:
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
    if seconds := stream_duration(container, stream):
        return Promise(seconds, False)
    return Promise(container.duration / av.time_base, True) if container.duration else None


def listed_frames(container: Any, stream: Any) -> int | None:
    """Frames that the file lists one by one; None where it does not."""
    name, entries = container.format.name, stream.index_entries
    if name.startswith("mov") and stream.frames == len(entries):
        # What an edit list cuts is not missed.
        return sum(not entry.is_discard for entry in entries) or None
    # Not the length in AVI's header: it counts the empty chunks too, which are no frames.
    return len(entries) or None if name == "avi" else None


def pixel_aspect(stream: Any) -> float:
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
