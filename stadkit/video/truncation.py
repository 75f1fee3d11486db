"""Detection of truncated and damaged video files.

A loss shows in the container's box structure, in the end of the video against the declared
duration, and in the list of frames. It is never inferred from duration times frame rate, so
variable frame rates are safe. The structure check reads box headers only: a truncated file ends
inside a box, a damaged one has something else where a box should begin.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

TS_PACKET_SIZES = (188, 192, 204)  # bytes of an MPEG-TS packet as stored in files
STREAMED = ("matroska,webm", "mpegts", "flv")  # video packets from the first to the last byte
CONSTANT_RATE = ("mpeg1video", "mpeg2video")  # codecs with a fixed frame rate, telecine aside
MAX_GAP = 2.5  # frame periods; a telecined frame lasts 1.5
State = Literal["complete", "truncated", "damaged", "unknown"]
# Matroska: element ids allowed in a Segment, and in a Cluster.
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_TOP = {0x1C53BB6B, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1043A770, 0x1254C367, 0x1941A469}
_BLOCKS = {0xE7, 0xA3, 0xA0, 0xA7, 0xAB, 0xAF, 0x5854}
_MEDIA_BLOCKS = (0xA3, 0xA0)  # video or audio
_FILL = {0xEC, 0xBF, 0x1A45DFA3}  # void, checksum, EBML header of a concatenated file
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_FLV_TAG = 11  # bytes of a tag header
_AVI_CHUNK = re.compile(rb"[0-9A-Fa-f]{2}[a-z0-9]{2}|ix[0-9]{2}|idx1|JUNK|LIST|RIFF")
_CHUNK = 1 << 13  # transport packets read at once


class Structure(NamedTuple):
    """Result of the box structure check."""

    state: State  # "truncated": ends inside a box; "damaged": invalid data where a box begins
    at: int  # byte offset of that box
    blocks: int = 0  # Matroska only: video and audio blocks


UNKNOWN = Structure("unknown", 0)


class DeclaredDuration(NamedTuple):
    """Duration declared by the header."""

    seconds: float
    any_stream: bool  # of the longest stream, video or audio; else of the video stream


class TruncationCheck:
    """Tracks packets and frames while a file is read, to detect missing data."""

    def __init__(
        self, container: Any, stream: Any, period: float, declared: DeclaredDuration | None = None
    ) -> None:
        """`period`: mean seconds per frame."""
        self._format, self._size = container.format.name, container.size
        self._only_stream = len(container.streams) == 1
        codec = stream.codec_context.codec.canonical_name
        # Other containers number their packets, or their boxes show more.
        self._constant_rate = self._format == "mpeg" and codec in CONSTANT_RATE
        self._period, self._declared = period, declared
        self._time = self._video_end = self._audio_end = 0.0  # seconds; _time: the last frame
        self._longest_interval = 0.0  # seconds between two frames
        self._end = self._gaps = self.packets = self._others = 0

    def packet(self, packet: Any) -> None:
        """Record a video packet."""
        self.packets += 1
        if packet.pos is not None:
            self._end = max(self._end, packet.pos + packet.size)

    def other(self, packet: Any) -> None:
        """Record a packet of another stream, or an empty one."""
        self._others += 1
        if packet.pts is not None:
            until = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._audio_end = max(self._audio_end, float(until))

    def frame(self, time: float, lasts: float = 0.0, start: float = 0.0) -> None:
        """Record a frame at `time` seconds; `lasts`: its duration, 0 if unknown; `start`: the
        container's timestamp of time 0."""
        self._gaps += self._constant_rate and time - self._time > MAX_GAP * self._period
        self._longest_interval = max(self._longest_interval, time - self._time)
        self._time = time
        self._video_end = max(self._video_end, time + max(start, 0.0) + max(lasts, self._period))

    def missing_end(self, boxes: Structure = UNKNOWN) -> tuple[float, float] | None:
        """(end of the video, declared duration) in seconds if the end of the file is missing;
        call after reading to the end."""
        if not self._declared or boxes.state == "complete":
            return None
        duration, end = self._declared.seconds, self._video_end
        if self._declared.any_stream:
            end = max(end, self._audio_end)
        slack = self._period / 2
        if boxes.state == "unknown":  # few files store the duration of the last frame
            slack = max(MAX_GAP * self._period, 0.01 * duration, self._longest_interval)
        return (end, duration) if duration - end > slack else None

    def signs(self, counted: bool, boxes: Structure = UNKNOWN) -> list[str]:
        """Other signs of loss, after reading to the end; `counted`: the file lists its frames."""
        found = []
        cut = self._size > 0 and all(self._size % packet for packet in TS_PACKET_SIZES)
        if self._format == "mpegts" and (cut or boxes.state == "truncated"):
            found.append("the last transport packet is truncated")
        elif boxes.state == "truncated" and not counted:
            found.append("the file is truncated")
        elif boxes.state == "damaged" and not counted:
            found.append(f"the file is damaged at byte {boxes.at}")
        lost = self._size - self._end
        unlisted = self._format in STREAMED and not counted and not self._declared
        if unlisted and self._only_stream and 4 * lost > self._size:
            found.append(f"no video data in the last {lost} of {self._size} bytes")
        unread = boxes.blocks - self.packets - self._others
        if unread > 0 and boxes.state in ("complete", "unknown"):
            found.append(f"{unread} of {boxes.blocks} blocks cannot be read")
        if self._gaps:
            found.append(f"{self._gaps} gap{'s' * (self._gaps > 1)} in the frame times")
        return found


def structure(path: Path, container: str) -> Structure:
    """Check the box structure of a file; `container`: FFmpeg's name of its format.

    Reads box headers only, some hundred thousand per second. "unknown" for formats without boxes
    and for anything but a local file.
    """
    check = _CHECKS.get(container.split(",")[0])
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return check(file, size) if check else Structure("unknown", 0)
    except OSError:
        return Structure("unknown", 0)


def _mov(file: BinaryIO, size: int) -> Structure:
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length == 0 and head[4:8] == b"mdat":  # to the end of the file
            return Structure("unknown", at)
        if length < 8 or not head[4:8].isascii() or not any(head[4:8]):
            return Structure("damaged", at)
        at += length
    return Structure("truncated" if at > size else "complete", at)


def _matroska(file: BinaryIO, size: int) -> Structure:
    at, blocks, end = 0, 0, 0
    # Without a segment length, a file ending between two blocks may or may not be truncated.
    length_known = True
    while at < size:
        file.seek(at)
        head = file.read(12)
        name, width = ebml_number(head, keep_mark=True)
        length, more = ebml_number(head[width:])
        if name not in _TOP | _BLOCKS | _FILL | {_SEGMENT, _CLUSTER}:
            if 0 < end <= at:  # after the segment
                break
            return Structure("damaged" if len(head) == 12 or name == 0 else "truncated", at, blocks)
        inside = name in (_SEGMENT, _CLUSTER)
        if length < 0 and not inside:
            return Structure("unknown", at, blocks)
        at += width + more
        if name == _SEGMENT:
            length_known, end = length >= 0, at + length if length >= 0 else 0
        blocks += name in _MEDIA_BLOCKS
        at += 0 if inside else length
    cut = at > size or end > size
    return Structure("truncated" if cut else "complete" if length_known else "unknown", at, blocks)


def ebml_number(data: bytes, keep_mark: bool = False) -> tuple[int, int]:
    """An EBML variable-length integer (-1 if all bits are set: unknown) and its bytes, 1 to 8."""
    if not data or not data[0]:
        return 0, 1
    width = 9 - data[0].bit_length()
    value = int.from_bytes(data[:width], "big")
    if keep_mark:
        return value, width
    all_ones = (1 << 7 * width) - 1
    return (-1 if value & all_ones == all_ones else value & all_ones), width


def _avi(file: BinaryIO, size: int) -> Structure:
    file.seek(44)
    has_index = bool(int.from_bytes(file.read(4), "little") & 0x10)  # AVIF_HASINDEX
    at, end, indexed = 0, 0, False
    while at + 8 <= size:
        file.seek(at)
        head = file.read(12)
        name, length = head[:4], int.from_bytes(head[4:8], "little")
        if not _AVI_CHUNK.fullmatch(name):
            file.seek(at - 1)
            if at % 2 or not _AVI_CHUNK.fullmatch(file.read(4)):
                return Structure("damaged" if at < end else _avi_end(has_index, indexed), at)
            at -= 1  # after an odd-sized chunk written without padding
            continue
        indexed |= name == b"idx1"
        if name == b"RIFF":
            if not 4 <= length < 0xFFFFFFFF:  # the recorder was stopped
                return Structure("unknown", at)
            end = at + 8 + length
        inside = name == b"RIFF" or (name == b"LIST" and head[8:] in (b"movi", b"rec "))
        at += 12 if inside else 8 + length + length % 2
    return Structure(("truncated" if max(at - 1, end) > size else _avi_end(has_index, indexed)), at)


def _avi_end(has_index: bool, indexed: bool) -> State:
    return "truncated" if has_index and not indexed else "complete"


def _asf(file: BinaryIO, size: int) -> Structure:
    file.seek(16)
    at = int.from_bytes(file.read(8), "little")  # after the header
    file.seek(at)
    head = file.read(51)
    length, count = int.from_bytes(head[16:24], "little"), int.from_bytes(head[40:48], "little")
    # Packets have one size and begin with an error correction byte, nearly always 82.
    if head[:16] != _ASF_DATA or head[50:] != b"\x82" or not count or length < 50 + count:
        return Structure("unknown", at)
    step = (length - 50) // count
    for here in range(at + 50, at + 50 + count * step, step):
        if here + step > size:
            return Structure("truncated", here)
        file.seek(here)
        if file.read(1) != b"\x82":
            return Structure("damaged", here)
    return Structure("complete", at + length)


def _flv(file: BinaryIO, size: int) -> Structure:
    file.seek(5)
    at = int.from_bytes(file.read(4), "big") + 4
    while at + _FLV_TAG <= size:
        file.seek(at)
        head = file.read(_FLV_TAG)
        if head[0] & 31 not in (8, 9, 18) or any(head[8:]):
            return Structure("damaged", at)
        at += _FLV_TAG + int.from_bytes(head[1:4], "big") + 4
    return Structure("complete" if at == size else "truncated", at)


def _transport(file: BinaryIO, size: int) -> Structure:
    head = file.read(204 * 8)
    for step in TS_PACKET_SIZES:
        first = next((i for i in range(step) if head[i : i + 5 * step : step] == b"G" * 5), None)
        if first is not None:
            break
    else:
        return Structure("unknown", 0)
    file.seek(first)
    at = first
    while chunk := file.read(step * _CHUNK):
        syncs = chunk[::step]
        if syncs.strip(b"G"):
            return Structure("damaged", at + step * (len(syncs) - len(syncs.lstrip(b"G"))))
        at += len(chunk)
    # In 192-byte packets the leading 4-byte timestamp was read with the packet before.
    return Structure(("truncated" if (at - first) % step not in (0, 188) else "complete"), at)


def _jpegs(file: BinaryIO, size: int) -> Structure:
    file.seek(max(0, size - 64))
    return Structure(
        ("complete" if file.read().rstrip(b"\0\r\n").endswith(b"\xff\xd9") else "truncated"), size
    )


_CHECKS: dict[str, Callable[[BinaryIO, int], Structure]] = {
    "mov": _mov,
    "matroska": _matroska,
    "avi": _avi,
    "asf": _asf,
    "flv": _flv,
    "mpegts": _transport,
    "mjpeg": _jpegs,
}
