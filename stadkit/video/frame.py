"""The interface of every reader: frames, metadata, and a report on the reading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # [H, W, 3]  RGB, upright


@dataclass(frozen=True)
class Frame:
    """A decoded frame, converted to pixels of a requested size on demand.

    Convert the frames of one video from one thread at a time.
    """

    time: float  # seconds from the start of the video
    size: tuple[int, int]  # (height, width) as displayed: upright, square pixels
    pts: int | None  # the container's presentation timestamp
    convert: Callable[[int, int], Pixels] = field(repr=False)
    after_gap: bool = False  # first frame of a joined recording, after a gap without frames

    def rgb(self, height: int | None = None, width: int | None = None) -> Pixels:
        """New pixels uint8 [H, W, 3], RGB; a side defaults to the full displayed size.

        Downscaling averages areas, so that small objects do not flicker.
        """
        return self.convert(height or self.size[0], width or self.size[1])


@dataclass(frozen=True)
class VideoInfo:
    """Metadata from the headers and the first frame; header values are only hints."""

    path: Path
    width: int  # as displayed: upright, square pixels
    height: int
    rotation: int  # degrees counter-clockwise that make the stored frame upright: 0 90 180 270
    mirrored: bool  # the display matrix also flips it
    rate: float  # average frames per second according to the container
    start: float  # the container's timestamp of time 0, on the clock of its audio
    duration: float | None  # seconds, if the container declares it
    expected: int | None  # frames, if the container lists them
    container: str
    codec: str
    pixel_format: str
    reader: str = "pyav"


@dataclass(frozen=True)
class Report:
    """The state of a reading. A partial video must never be presented as complete."""

    frames: int  # frames read
    expected: int | None  # frames the container lists, or an estimate if its end is missing
    errors: int  # packets that could not be read or decoded
    damaged: int  # frames read in which the decoder concealed errors
    partial: bool
    reason: str  # why it is partial: "20 of about 60 frames; 1 damaged packet"
    note: str = ""  # further remarks, also for a complete video: gaps without frames


class Video(ABC):
    """A video read once, sequentially: a context manager and an iterable of frames."""

    info: VideoInfo

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    @property
    @abstractmethod
    def report(self) -> Report:
        """Final once the frames are exhausted; until then only damage makes it partial."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def displayed(width: int, height: int, aspect: float, turned: bool) -> tuple[int, int]:
    """(height, width) on screen of a stored frame; `aspect` is a pixel's width / height.

    The width is stretched, as players do. An aspect beyond 1:8 or 8:1 indicates a damaged header
    and is ignored.
    """
    if 1 / 8 <= aspect <= 8:
        width = max(1, round(width * aspect))
    return (width, height) if turned else (height, width)


def judge(
    frames: int,
    expected: int | None,
    errors: int,
    damaged: int = 0,
    ended: bool = True,
    signs: Sequence[str] = (),
) -> Report:
    """Report on a reading; `ended`: the end of the file was reached; `signs`: other signs of loss.

    `expected` is the number of frames the container lists, never duration times rate, which is
    wrong for variable frame rates. Lists may be off by a few: up to 2 frames or 1 % may be missing.
    """
    short = ended and expected is not None and expected - frames > max(2, expected // 100)
    reasons = []
    if short or (ended and errors and expected is not None and frames < expected):
        reasons.append(f"{frames} of about {expected} frames")
    if errors:
        reasons.append(f"{errors} damaged packet{'s' * (errors > 1)}")
    if damaged:
        reasons.append(f"{damaged} damaged frame{'s' * (damaged > 1)}")
    reasons += signs
    return Report(frames, expected, errors, damaged, bool(reasons), "; ".join(reasons))
