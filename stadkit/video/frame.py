"""What every reader gives: frames, what is known before reading, and how the reading went."""

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
    """A decoded frame; its pixels are made when asked for, at the size asked for.

    Convert the frames of one video from one thread at a time.
    """

    time: float  # seconds from the start of the video
    size: tuple[int, int]  # (height, width) as displayed: upright, square pixels
    pts: int | None  # the container's own presentation stamp
    convert: Callable[[int, int], Pixels] = field(repr=False)
    anew: bool = False  # another recording begins: nothing was to be seen since the frame before

    def rgb(self, height: int | None = None, width: int | None = None) -> Pixels:
        """New pixels uint8 [H, W, 3], RGB; full displayed size where a side is not given.

        Shrinking averages areas, so that small things do not flicker.
        """
        return self.convert(height or self.size[0], width or self.size[1])


@dataclass(frozen=True)
class VideoInfo:
    """What a file says of itself, and its first frame; the rest is only a hint."""

    path: Path
    width: int  # as displayed: upright, square pixels
    height: int
    rotation: int  # degrees counter-clockwise that make the stored frame upright: 0 90 180 270
    mirrored: bool  # the display matrix also flips it
    rate: float  # average frames a second, as the container says
    start: float  # the container's own time of second 0, as its sound counts
    duration: float | None  # seconds, where the container knows
    expected: int | None  # frames, where the container lists them
    container: str
    codec: str
    pixel_format: str
    reader: str = "pyav"


@dataclass(frozen=True)
class Report:
    """How the reading went so far. A partial video must never be presented as whole."""

    frames: int  # frames given
    expected: int | None  # frames the container lists, or, where its end lacks, a guess
    errors: int  # packets that could not be read or decoded
    damaged: int  # frames among those given that the decoder had to mend
    partial: bool
    reason: str  # why it is partial: "20 of about 60 frames; 1 damaged packet"
    note: str = ""  # what else is to be known of it, be it whole: seconds without a picture


class Video(ABC):
    """A video being read once, front to back: a context manager and an iterable of frames."""

    info: VideoInfo

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    @property
    @abstractmethod
    def report(self) -> Report:
        """Complete once the frames are exhausted; until then only damage makes it partial."""

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

    As players do, the width is stretched. An aspect beyond 1:8 or 8:1 is a damaged header
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
    """The report of a reading; `ended` says that the file has no more to give, `signs` what else
    tells of a loss.

    `expected` is what the container lists, never length times rate, which is wrong where frames
    come unevenly. A list may be off by a few, so up to 2 frames or 1 % may lack.
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
