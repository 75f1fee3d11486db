"""Small videos made for the tests; each frame shows its own number."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BITS = 6


def picture(number: int, width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """A frame [height, width, 3] whose columns spell the number, with a red top left corner."""
    bits = [(number >> i) & 1 for i in range(BITS)]
    bands = np.repeat(np.array(bits) * 200 + 30, -(-width // BITS))[:width]
    pixels = np.repeat(np.tile(bands[None, :, None], (height, 1, 3)), 1, 0).astype(np.uint8)
    pixels[: height // 4] = 120
    pixels[: height // 4, : width // 4] = (220, 20, 20)
    return pixels


def number_of(pixels: NDArray[np.uint8]) -> int:
    """The number that `picture` drew."""
    height, width = pixels.shape[:2]
    band = -(-width // BITS)
    row = pixels[height * 3 // 4, :, 1]
    return sum(int(row[min(i * band + band // 2, width - 1)] > 130) << i for i in range(BITS))


def make(
    path: Path,
    codec: str = "libx264",
    *,
    frames: int = 30,
    rate: int = 10,
    width: int = 96,
    height: int = 64,
    pixel_format: str = "yuv420p",
    container: str | None = None,
    times: Iterable[float] | None = None,
    slots: Iterable[int] | None = None,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    rotation: tuple[Any, ...] | None = None,
    aspect: Fraction | None = None,
    b_frames: int | None = None,
    first: int = 0,
    sound: float = 0.0,
) -> Path:
    """Writes a video and gives its path; `sound` seconds of AAC go along when above 0.

    Frame i is at second i / rate, at `times[i]`, or at `slots[i] / rate`.
    """
    with av.open(str(path), "w", format=container, options=muxer or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        tick = Fraction(1, rate)
        if times is not None:
            tick = stream.codec_context.time_base = Fraction(1, 90_000)
        if rotation:
            stream.set_display_rotation(*rotation)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        voice = output.add_stream("aac", rate=8000) if sound else None
        stamps = range(frames) if times is None else [round(t * 90_000) for t in times]
        stamps = stamps if slots is None else list(slots)
        for i, stamp in zip(range(frames), stamps, strict=False):
            frame = av.VideoFrame.from_ndarray(picture(first + i, width, height), "rgb24")
            frame.pts, frame.time_base = stamp, tick
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if voice:
            output.mux(hum(voice, sound))
    return path


def hum(stream: Any, seconds: float) -> list[Any]:
    """AAC packets of a quiet tone."""
    packets = []
    for i in range(int(seconds * 8000) // 1024):
        wave = np.sin(np.arange(i * 1024, (i + 1) * 1024) / 5).astype(np.float32)[None] / 4
        frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
        frame.sample_rate, frame.pts = 8000, i * 1024
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def stretch(path: Path, seconds: float) -> Path:
    """Makes a Matroska file say that it lasts so long."""
    data = path.read_bytes().replace(b"DURATION", b"LASTS_IN")  # the tag of its stream
    at = data.find(b"\x44\x89\x88") + 3
    path.write_bytes(data[:at] + struct.pack(">d", seconds * 1000) + data[at + 8 :])
    return path


def crop_mkv(path: Path, left: int, top: int) -> Path:
    """Has a Matroska file cut off pixels, in the room that FFmpeg leaves behind its tracks."""
    data = path.read_bytes()
    film = data.find(b"\xb0\x81\x60") - 2  # the element before a width of 96
    end = film + 2 + (data[film + 1] & 127)
    void = data.find(b"\xec\x01" + bytes(6) + b"\x02", end)  # of 11 bytes in all
    sides = b"\x54\xcc\x81" + bytes([left]) + b"\x54\xbb\x81" + bytes([top])
    film_now = bytes([0xE0, data[film + 1] + len(sides)]) + data[film + 2 : end] + sides
    rest = b"\xec\x81\x00" + data[void + 11 :]
    path.write_bytes(data[:film] + film_now + data[end:void] + rest)
    return path


def crop_mp4(path: Path, wide: int, high: int, right: int, down: int) -> Path:
    """Has an MP4 with its index at the end show a part of the picture: its size, and how far its
    middle is off that of the whole."""
    data = path.read_bytes()
    clap = (40).to_bytes(4, "big") + b"clap"
    for number in (wide, high, right, down):
        clap += number.to_bytes(4, "big", signed=True) + (1).to_bytes(4, "big")
    at = 0
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        at = data.find(name, at) - 4
        length = int.from_bytes(data[at : at + 4], "big")
        data = data[:at] + (length + len(clap)).to_bytes(4, "big") + data[at + 4 :]
        at += 8
    end = at - 8 + length
    path.write_bytes(data[:end] + clap + data[end:])
    return path


def remux(source: Path, path: Path, shift: int = 0, muxer: dict[str, str] | None = None) -> Path:
    """Copies the packets to another file, their stamps moved by `shift` ticks."""
    with av.open(str(source)) as given, av.open(str(path), "w", options=muxer or {}) as output:
        stream = given.streams.video[0]
        copy = output.add_stream_from_template(stream)
        for packet in given.demux(stream):
            if packet.dts is None:
                continue
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = copy
            output.mux(packet)
    return path
