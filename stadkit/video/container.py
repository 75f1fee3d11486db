"""Opening video files with FFmpeg; frame rate, duration and frame count from their headers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av

from stadkit.errors import VideoError
from stadkit.video.check import JPEG, check_file, has_moov, looks_like_mp4, shown
from stadkit.video.truncation import DeclaredDuration

# No playlist, image sequence, device or network formats: those refer to other files.
FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,asf,flv,gif,ogg,ivf,nut,mxf,"
    "dv,obu,rm,wtv,yuv4mpegpipe,mjpeg"
)
# Their headers store a duration, as do those of MP4 and its kin. For other formats FFmpeg derives
# it from the last timestamps, which truncation changes too.
TIMED = ("matroska,webm", "flv", "asf", "nut", "mxf")
RAW = ("h264", "hevc", "mpegvideo", "m4v")  # elementary streams without a container
MAX_PIXELS = 1 << 27  # 16k x 8k; a damaged header must not exhaust memory


def open_container(path: Path) -> Any:
    """Open a file with FFmpeg, local formats only; raises VideoError."""
    head = check_file(path)
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    kind = (
        "mjpeg" if head.startswith(JPEG) else None
    )  # otherwise FFmpeg treats it as a single image
    try:
        # "file:" keeps names such as `concat:a.mp4` or `-` from being parsed as protocols.
        container = av.open(f"file:{path}", format=kind, options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        why = f"is not readable as video ({error.strerror}); get a complete copy or an MP4"
        raise VideoError(f"{shown(path)}: {_without_index(head, path) or why}.") from error
    if not container.streams.video:
        # A file whose index was truncated may still open, with an unknown stream.
        empty = "is a video file without streams; get a complete copy"
        reason = _without_index(head, path) or (None if container.streams else empty)
        if reason:
            container.close()
            raise VideoError(f"{shown(path)}: {reason}.")
    return container


def video_stream(container: Any, path: Path, threads: int = 1) -> Any:
    """The main video stream, set to decode on `threads` threads; raises VideoError if none."""
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if not streams:
        kind = "audio only" if container.streams.audio else "no video stream"
        raise VideoError(f"{shown(path)}: holds {kind}; give a file with a video stream.")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise VideoError(
            f"{shown(path)}: its codec is unknown to FFmpeg; convert it to H.264 first."
        )
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = min(threads, os.cpu_count() or 1)
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def pace(stream: Any) -> tuple[float, float]:
    """(seconds per tick, mean seconds per frame)."""
    rates = [stream.average_rate, stream.guessed_rate, stream.base_rate]
    if stream.container.format.name in RAW:
        # average_rate is FFmpeg's default of 25 here, whatever the stream declares.
        rates = [stream.codec_context.framerate, *rates[1:], rates[0]]
    sane = [rate for rate in rates if rate and 1e-4 <= rate <= 1e4]
    return float(stream.time_base or 1), float(1 / sane[0]) if sane else 1 / 25


def stream_duration(container: Any, stream: Any) -> float | None:
    """Duration of the video stream in seconds as declared by the file; None if undeclared."""
    if stream.duration and stream.time_base:
        return max(0.0, float(stream.duration * stream.time_base))
    if "DURATION" in stream.metadata:  # Matroska: "00:00:02.000000000"
        try:
            hours, minutes, seconds = stream.metadata["DURATION"].split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            return None
    alone = len(container.streams) == 1  # audio may be longer than the video
    return container.duration / av.time_base if alone and container.duration else None


def declared_duration(container: Any, stream: Any, period: float) -> DeclaredDuration | None:
    """The duration that the header declares; None if FFmpeg estimated it."""
    name = container.format.name
    if name == "avi":  # FFmpeg corrects the duration of truncated AVI files
        return DeclaredDuration(stream.frames * period, False) if stream.frames else None
    if name not in TIMED and not name.startswith("mov"):
        return None
    if seconds := stream_duration(container, stream):
        return DeclaredDuration(seconds, False)
    return DeclaredDuration(container.duration / av.time_base, True) if container.duration else None


def listed_frames(container: Any, stream: Any) -> int | None:
    """Number of frames in the file's index; None without an index."""
    name, entries = container.format.name, stream.index_entries
    if name.startswith("mov") and stream.frames == len(entries):
        # Frames discarded by an edit list are not counted as missing.
        return sum(not entry.is_discard for entry in entries) or None
    # Not the length in AVI's header, which also counts empty chunks.
    return len(entries) or None if name == "avi" else None


def pixel_aspect(stream: Any) -> float:
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return float(aspect) if aspect else 1.0


def _without_index(head: bytes, path: Path) -> str | None:
    if not looks_like_mp4(head) or has_moov(path):
        return None
    return (
        "has no complete moov atom (its index): the recording or download was interrupted; get a "
        "complete copy"
    )


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & type(stream.disposition).attached_pic)
