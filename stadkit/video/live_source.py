"""Live sources: a camera by number, or a stream by URL."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av

from stadkit.errors import UsageError, VideoError
from stadkit.video.container import FORMATS
from stadkit.video.frame import Frame, Report, Video, VideoInfo
from stadkit.video.pyav_reader import PyavVideo
from stadkit.video.resize import resized

# Protocols allowed for each URL scheme: never local files.
WEB = "http,https,httpproxy,tcp,tls,crypto"
STREAM = "rtsp,rtsps,rtp,rtcp,srtp,udp,tcp,tls"
PROTOCOLS = {"http": WEB, "https": WEB, "rtsp": STREAM, "rtsps": STREAM}
LIVE_FORMATS = f"{FORMATS},hls,mpjpeg,mjpeg,rtsp,sdp,rtp"
TIMEOUT = (10.0, 10.0)  # seconds: to open a stream, and without a packet
THREADS = 2  # of the decoder: each delays a frame


@dataclass(frozen=True)
class LiveSource:
    """A live source; raises UsageError for a URL without a host."""

    camera: int | None  # its number
    url: str  # of a stream

    def __post_init__(self) -> None:
        if self.camera is None and not urlsplit(self.url).hostname:
            raise UsageError(f"{self}: has no host; use SCHEME://HOST/PATH")

    def __str__(self) -> str:
        """For messages and manifests: without passwords or tokens."""
        if self.camera is not None:
            return f"camera {self.camera}"
        parts = urlsplit(self.url)
        user, at, host = parts.netloc.rpartition("@")
        hidden = f"{user.partition(':')[0]}:***" if ":" in user else user
        query = "?***" if parts.query else ""
        return f"{parts.scheme}://{hidden}{at}{host}{parts.path}{query}"

    @property
    def name(self) -> str:
        """Base name of the results."""
        if self.camera is not None:
            return f"camera-{self.camera}"
        parts = urlsplit(self.url)
        path = re.sub(r"\.\w+$", "", parts.path)
        words = (
            re.sub(r"[^\w.-]+", "_", word) for word in (parts.hostname or "", *path.split("/"))
        )
        return "-".join(word.strip("_.:") for word in words if word.strip("_.:"))

    def connect(self) -> Video:
        """Open it; raises VideoError."""
        if self.camera is not None:
            return CameraVideo(self.camera)
        return StreamVideo(self)


def live_source(text: str) -> LiveSource | None:
    """The live source named by the user; None for a file. A file called 0 takes precedence."""
    scheme, mark, _ = text.partition("://")
    if mark and scheme.lower() in PROTOCOLS:
        return LiveSource(None, text)
    if text.isascii() and text.isdecimal() and not Path(text).exists():
        return LiveSource(int(text), "")
    return None


class StreamVideo(PyavVideo):
    """One connection to a stream; `why`: reason of an interruption."""

    def __init__(self, source: LiveSource) -> None:
        self.why = ""
        super().__init__(Path(source.name), THREADS, open_stream(source))

    @property
    def finished(self) -> bool:
        """Whether a stream of known length, in seconds or bytes, was read completely."""
        return not self.why and bool(self._container.duration or self._container.size > 0)

    def _packets(self) -> Iterator[Any]:
        # Unlike with files, continuing after a read error is pointless.
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    yield packet
        except (av.FFmpegError, IndexError) as error:
            self.why = reason(error)
        yield None


def open_stream(source: LiveSource) -> Any:
    """Open the stream with FFmpeg; raises VideoError."""
    scheme = urlsplit(source.url).scheme.lower()
    options = {"format_whitelist": LIVE_FORMATS, "protocol_whitelist": PROTOCOLS[scheme]}
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # over UDP, lost packets would lose frames
    try:
        return av.open(source.url, options=options, metadata_errors="replace", timeout=TIMEOUT)
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"{source}: {reason(error)}") from None


def reason(error: Exception) -> str:
    """A short reason why a stream cannot be read."""
    if isinstance(error, av.error.ExitError | TimeoutError):
        return f"no answer for {TIMEOUT[0]:g} s"
    if getattr(error, "errno", None) == errno.EIO:  # FFmpeg's code for a closed connection
        return "the connection ended"
    if isinstance(error, av.error.InvalidDataError):
        return "is not a video stream"  # for example a web page
    return str(getattr(error, "strerror", None) or error).splitlines()[0]


class CameraVideo(Video):
    """A camera, read with OpenCV; frames are timed on arrival."""

    def __init__(self, number: int) -> None:
        import cv2

        self.why = "gives no more frames"
        # OpenCV would log every driver that it tries.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._capture = cv2.VideoCapture(number)
        self._frames, self._start = 0, time.monotonic()
        first = self._read()
        if first is None:
            self._capture.release()
            raise VideoError(
                f"camera {number}: is not connected, or in use by another program; cameras are "
                "numbered from 0"
            )
        self._first: Any = first
        height, width = first.shape[:2]
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.info = VideoInfo(
            path=Path(f"camera-{number}"),
            width=width,
            height=height,
            rotation=0,
            mirrored=False,
            rate=rate if 1 <= rate <= 1000 else 30.0,
            start=0.0,
            duration=None,
            expected=None,
            container="camera",
            codec="raw",
            pixel_format="rgb24",
            reader="opencv",
        )

    def __iter__(self) -> Iterator[Frame]:
        image, self._first = self._first, None
        while image is not None:
            self._frames += 1
            second = time.monotonic() - self._start
            yield Frame(second, image.shape[:2], None, partial(resized, image))
            image = self._read()

    @property
    def report(self) -> Report:
        return Report(self._frames, None, 0, 0, False, "")

    def close(self) -> None:
        self._capture.release()

    def _read(self) -> Any:
        """The next frame [H, W, 3] as RGB; None at the end."""
        ok, image = self._capture.read()
        return image[..., ::-1].copy() if ok else None
