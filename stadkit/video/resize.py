"""Resizing of frames, and cropping by the container: Matroska's PixelCrop, MP4's `clap`.

Players honour such a crop; FFmpeg's decoders do not.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from stadkit.video.frame import Pixels
from stadkit.video.truncation import ebml_number

# Downscaling: area averaging, or bilinear, which lets small objects flicker but is what some
# released weights were trained on. Both upscale bilinearly.
Resizing = Literal["area", "linear"]
MAX_ASPECT = 8  # maximum ratio of the target sides, so that a thin strip fits in memory
Span = tuple[int, int]  # byte range [start, end) of a box's content
_MAX_BOXES = 1 << 16  # boxes examined
_SEGMENT, _TRACKS, _TRACK, _TYPE, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0
_CLUSTER = 0x1F43B675
_SIDES = {0x54CC: "left", 0x54BB: "top", 0x54DD: "right", 0x54AA: "bottom"}
_SAMPLE = 86  # bytes of a visual sample entry before its boxes


def resized_shape(size: tuple[int, int], short_side: int, long_side: int = 0) -> tuple[int, int]:
    """(height, width) of a frame resized to a short side.

    The long side is limited to `long_side`, and half pixels are rounded up (as in detectron2's
    ResizeShortestEdge); with 0 it is limited to 8 short sides, and half pixels round to even.
    """
    if long_side:
        return _within(size, short_side, long_side)
    scale = min(short_side / min(size), MAX_ASPECT * short_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _within(size: tuple[int, int], short_side: int, long_side: int) -> tuple[int, int]:
    # Two steps as in detectron2, the short side exact after the first, for identical rounding.
    scale = short_side / min(size)
    high, wide = (short_side if side == min(size) else scale * side for side in size)
    again = min(1.0, long_side / max(high, wide))
    return max(1, int(high * again + 0.5)), max(1, int(wide * again + 0.5))


def resized(pixels: Pixels, height: int, width: int, how: Resizing = "area") -> Pixels:
    """A resized copy of pixels [H, W, 3]; "linear" also rounds to integer levels."""
    import cv2

    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    flag = cv2.INTER_AREA if shrinks and how == "area" else cv2.INTER_LINEAR
    return np.array(cv2.resize(pixels, (width, height), interpolation=flag), np.uint8)


class Crop(NamedTuple):
    """Pixels cropped from each side of a stored frame."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def inside(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) after cropping."""
        return width - self.left - self.right, height - self.top - self.bottom


NO_CROP = Crop()


def read_crop(path: Path, container: Any, stream: Any) -> Crop:
    """Read a stream's crop; no crop if the header is invalid.

    container, stream: the file as PyAV opened it. Raises OSError if it cannot be read.
    """
    kind = container.format.name.split(",")[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    with open(path, "rb") as file:
        if kind == "matroska":
            crop = _matroska(file, container.streams.video.index(stream))
        elif kind == "mov":
            crop = _mov(file, stream.id, width, height)
        else:
            return NO_CROP
    return crop if min(*crop, *(n - 1 for n in crop.inside(width, height))) >= 0 else NO_CROP


def _matroska(file: BinaryIO, wanted: int) -> Crop:
    """Crop of video track `wanted`, counted from 0."""
    file_span = (0, os.fstat(file.fileno()).st_size)
    tracks = [
        part
        for segment in _elements(file, file_span, _SEGMENT)
        for part in _elements(file, segment, _TRACKS)
    ]
    video_tracks = [
        _elements(file, track, _VIDEO)
        for part in tracks
        for track in _elements(file, part, _TRACK)
        if [_value(file, kind) for kind in _elements(file, track, _TYPE)] == [1]
    ]
    if wanted >= len(video_tracks) or not video_tracks[wanted]:
        return NO_CROP
    sides = (
        (side, _elements(file, video_tracks[wanted][0], name)) for name, side in _SIDES.items()
    )
    return Crop(**{side: _value(file, found[0]) for side, found in sides if found})


def _elements(file: BinaryIO, within: Span, wanted: int) -> list[Span]:
    """Contents of the Matroska elements with id `wanted`, up to the first cluster."""
    at, end = within
    found: list[Span] = []
    for _ in range(_MAX_BOXES):
        file.seek(at)
        head = file.read(12)
        name, width = ebml_number(head, keep_mark=True)
        length, more = ebml_number(head[width:])
        if at >= end or not name or name == _CLUSTER:
            break
        at += width + more
        until = min(at + length, end) if length >= 0 else end
        if name == wanted:
            found.append((at, until))
        at = until
    return found


def _value(file: BinaryIO, span: Span) -> int:
    file.seek(span[0])
    return int.from_bytes(file.read(min(8, span[1] - span[0])), "big")


def _mov(file: BinaryIO, track: int, width: int, height: int) -> Crop:
    """Crop of the track with id `track`; width, height: pixels of its stored frames."""
    file_span = (0, os.fstat(file.fileno()).st_size)
    for trak in _boxes(file, file_span, b"moov", b"trak"):
        for start, end in _boxes(file, trak, b"tkhd"):
            file.seek(start)
            head = file.read(min(24, end - start))
            if int.from_bytes(head[20:24] if head[:1] == b"\1" else head[12:16], "big") != track:
                break
            for begin, last in _boxes(file, trak, b"mdia", b"minf", b"stbl", b"stsd"):
                sample = (begin + 8 + _SAMPLE, last)
                for clap in _boxes(file, sample, b"clap"):
                    return _clap(file, clap, width, height)
    return NO_CROP


def _boxes(file: BinaryIO, within: Span, *path: bytes) -> list[Span]:
    """Contents of the MP4 boxes at a path of names."""
    at, end = within
    found: list[Span] = []
    for _ in range(_MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        length, body = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, body = int.from_bytes(head[8:], "big"), 16
        if at + 8 > end or length < body:
            break
        if head[4:8] == path[0]:
            found.append((at + body, min(at + length, end)))
        at += length
    return found if len(path) == 1 else [i for f in found for i in _boxes(file, f, *path[1:])]


def _clap(file: BinaryIO, span: Span, width: int, height: int) -> Crop:
    """Crop from the size of the clean aperture and the offset of its centre."""
    file.seek(span[0])
    data = file.read(32)
    n = [int.from_bytes(data[i : i + 4], "big", signed=True) for i in range(0, 32, 4)]
    if len(data) < 32 or min(n[1::2]) <= 0:
        return NO_CROP
    clean_width, clean_height, right, down = (Fraction(n[i], n[i + 1]) for i in range(0, 8, 2))
    left, top = round((width - clean_width) / 2 + right), round((height - clean_height) / 2 + down)
    return Crop(left, top, width - left - round(clean_width), height - top - round(clean_height))
