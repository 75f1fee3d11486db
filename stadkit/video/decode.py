"""Opening video files with one of the readers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from stadkit.errors import UsageError
from stadkit.video.frame import Video, VideoInfo
from stadkit.video.pyav_reader import MAX_THREADS, PyavVideo

READERS = ("pyav", "decord")


def probe(path: Path | str) -> VideoInfo:
    """Read a video's metadata from headers and first frame; raises VideoError like `open_video`."""
    with open_video(path) as video:
        return video.info


def open_video(path: Path | str, reader: str = "pyav", threads: int = MAX_THREADS) -> Video:
    """Open a video to be read once; `reader` is "pyav" or "decord".

    `threads`: maximum number of decoding threads. With more than one, frames that the decoder
    conceals in a damaged file may differ between runs; intact files always give the same.

    Raises a one-line VideoError for anything without a decodable frame: a missing or empty file,
    a folder, pipe or socket, text, a playlist, audio only, no index, an unknown codec.
    """
    check_reader(reader)
    if reader == "pyav":
        return PyavVideo(Path(path), threads)
    from stadkit.video.decord_reader import DecordVideo

    return DecordVideo(Path(path), threads)


def check_reader(reader: str) -> None:
    """Raise UsageError for an unknown reader or one that is not installed."""
    if reader not in READERS:
        raise UsageError(f"unknown video reader {reader!r}; choose from: {', '.join(READERS)}.")
    if reader == "decord" and find_spec("decord") is None:
        raise UsageError(
            "the decord reader is not installed (it has no wheels for this platform, or "
            "`pip install decord` is needed); use the pyav reader."
        )
