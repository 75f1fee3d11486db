"""Video in: a file opened with one of the readers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from stadkit.errors import UsageError
from stadkit.video.frame import Video, VideoInfo
from stadkit.video.pyav_reader import MOST_THREADS, PyavVideo

READERS = ("pyav", "decord")


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
