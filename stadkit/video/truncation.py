"""Has a file lost a part? Seen from its boxes, from where its pictures end against the length it
says it has, and from the frames it lists; never from a count guessed as length times rate.

Do a file's own boxes follow one another to its end? Asked of their heads, not of its pictures.

What is lost of a file shows here, however uneven its frames come: it ends before its boxes do, or
where a box should begin there is something else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

TRANSPORT = (188, 192, 204)  # bytes of a packet of MPEG-TS, as files hold them
STREAMED = ("matroska,webm", "mpegts", "flv")  # pictures from the first to the last byte
STEADY = ("mpeg1video", "mpeg2video")  # codecs whose frames all last as long, but for telecine
GAP = 2.5  # periods; a telecined frame lasts 1.5
State = Literal["whole", "cut", "broken", "unknown"]
# Matroska: what may stand in a Segment, and in a Cluster.
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_TOP = {0x1C53BB6B, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1043A770, 0x1254C367, 0x1941A469}
_BLOCKS = {0xE7, 0xA3, 0xA0, 0xA7, 0xAB, 0xAF, 0x5854}
_PICTURES = (0xA3, 0xA0)  # or sound
_FILL = {0xEC, 0xBF, 0x1A45DFA3}  # nothing, a checksum, the head of a file glued to it
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_FLV_TAG = 11  # bytes of its head
_AVI_CHUNK = re.compile(rb"[0-9A-Fa-f]{2}[a-z0-9]{2}|ix[0-9]{2}|idx1|JUNK|LIST|RIFF")
_TRANSPORT = (188, 192, 204)  # bytes of a packet of MPEG-TS
_PIECE = 1 << 13  # transport packets read at once


class Structure(NamedTuple):
    """What a file's boxes tell."""

    state: State  # "cut": it ends within one; "broken": something else stands where one begins
    at: int  # byte at which that is
    blocks: int = 0  # of pictures and sound, where Matroska holds them


UNKNOWN = Structure("unknown", 0)


class Promise(NamedTuple):
    """How long a file says it is."""

    seconds: float
    of_all: bool  # of its longest stream, be that sound; else of its pictures


class TruncationCheck:
    """Watches the packets and frames of one reading."""

    def __init__(
        self, container: Any, stream: Any, period: float, promise: Promise | None = None
    ) -> None:
        """period: seconds a frame, on average."""
        self._format, self._size = container.format.name, container.size
        self._alone = len(container.streams) == 1
        codec = stream.codec_context.codec.canonical_name
        # Of other containers the packets are numbered, or their boxes tell more.
        self._steady = self._format == "mpeg" and codec in STEADY
        self._period, self._promise = period, promise
        self._time = self._last = self._sound = 0.0  # seconds: a frame; the ends of the streams
        self._longest = 0.0  # seconds between two frames
        self._end = self._gaps = self.packets = self._others = 0

    def packet(self, packet: Any) -> None:
        """One more packet of the pictures."""
        self.packets += 1
        if packet.pos is not None:
            self._end = max(self._end, packet.pos + packet.size)

    def other(self, packet: Any) -> None:
        """One more packet of another stream, or an empty one."""
        self._others += 1
        if packet.pts is not None:
            until = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._sound = max(self._sound, float(until))

    def frame(self, time: float, lasts: float = 0.0, start: float = 0.0) -> None:
        """One more frame, at this second; it lasts so many, 0 for not known. start: the second
        that the file calls second 0."""
        self._gaps += self._steady and time - self._time > GAP * self._period
        self._longest = max(self._longest, time - self._time)
        self._time = time
        self._last = max(self._last, time + max(start, 0.0) + max(lasts, self._period))

    def short(self, boxes: Structure = UNKNOWN) -> tuple[float, float] | None:
        """(second at which it ends, seconds promised) where the end of the file lacks; ask when
        all was read."""
        if not self._promise or boxes.state == "whole":
            return None
        promised, end = self._promise.seconds, self._last
        if self._promise.of_all:
            end = max(end, self._sound)
        slack = self._period / 2
        if boxes.state == "unknown":  # few files say how long the last picture stays
            slack = max(GAP * self._period, 0.01 * promised, self._longest)
        return (end, promised) if promised - end > slack else None

    def signs(self, counted: bool, boxes: Structure = UNKNOWN) -> list[str]:
        """What else tells of a loss, when all was read; counted: the file lists its frames."""
        found = []
        cut = self._size > 0 and all(self._size % packet for packet in TRANSPORT)
        if self._format == "mpegts" and (cut or boxes.state == "cut"):
            found.append("the last transport packet is cut")
        elif boxes.state == "cut" and not counted:
            found.append("the file is cut short")
        elif boxes.state == "broken" and not counted:
            found.append(f"the file is damaged at byte {boxes.at}")
        lost = self._size - self._end
        untold = self._format in STREAMED and not counted and not self._promise
        if untold and self._alone and 4 * lost > self._size:
            found.append(f"no picture in the last {lost} of {self._size} bytes")
        unread = boxes.blocks - self.packets - self._others
        if unread > 0 and boxes.state in ("whole", "unknown"):
            found.append(f"{unread} of {boxes.blocks} blocks cannot be read")
        if self._gaps:
            found.append(f"{self._gaps} gap{'s' * (self._gaps > 1)} in its time")
        return found


def structure(path: Path, container: str) -> Structure:
    """Follow the boxes of a file; container: FFmpeg's name of its format.

    Reads their heads alone, some hundred thousand a second. "unknown" for a format that has none,
    and for what is no file on this machine.
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
            return Structure("broken", at)
        at += length
    return Structure("cut" if at > size else "whole", at)


def _matroska(file: BinaryIO, size: int) -> Structure:
    at, blocks, end = 0, 0, 0
    known = True  # the length of the whole; else what ends between two blocks may be cut or not
    while at < size:
        file.seek(at)
        head = file.read(12)
        name, width = ebml_number(head, keep_mark=True)
        length, more = ebml_number(head[width:])
        if name not in _TOP | _BLOCKS | _FILL | {_SEGMENT, _CLUSTER}:
            if 0 < end <= at:  # behind the whole
                break
            return Structure("broken" if len(head) == 12 or name == 0 else "cut", at, blocks)
        inside = name in (_SEGMENT, _CLUSTER)
        if length < 0 and not inside:
            return Structure("unknown", at, blocks)
        at += width + more
        if name == _SEGMENT:
            known, end = length >= 0, at + length if length >= 0 else 0
        blocks += name in _PICTURES
        at += 0 if inside else length
    cut = at > size or end > size
    return Structure("cut" if cut else "whole" if known else "unknown", at, blocks)


def ebml_number(data: bytes, keep_mark: bool = False) -> tuple[int, int]:
    """EBML's number of 1 to 8 bytes, -1 where all its bits are set: not known; and its bytes."""
    if not data or not data[0]:
        return 0, 1
    width = 9 - data[0].bit_length()
    value = int.from_bytes(data[:width], "big")
    if keep_mark:
        return value, width
    most = (1 << 7 * width) - 1
    return (-1 if value & most == most else value & most), width


def _avi(file: BinaryIO, size: int) -> Structure:
    file.seek(44)
    promised = bool(int.from_bytes(file.read(4), "little") & 0x10)  # an index behind the pictures
    at, end, indexed = 0, 0, False
    while at + 8 <= size:
        file.seek(at)
        head = file.read(12)
        name, length = head[:4], int.from_bytes(head[4:8], "little")
        if not _AVI_CHUNK.fullmatch(name):
            file.seek(at - 1)
            if at % 2 or not _AVI_CHUNK.fullmatch(file.read(4)):
                return Structure("broken" if at < end else _avi_end(promised, indexed), at)
            at -= 1  # behind an odd chunk that was not filled up
            continue
        indexed |= name == b"idx1"
        if name == b"RIFF":
            if not 4 <= length < 0xFFFFFFFF:  # its recorder was stopped
                return Structure("unknown", at)
            end = at + 8 + length
        inside = name == b"RIFF" or (name == b"LIST" and head[8:] in (b"movi", b"rec "))
        at += 12 if inside else 8 + length + length % 2
    return Structure(("cut" if max(at - 1, end) > size else _avi_end(promised, indexed)), at)


def _avi_end(promised: bool, indexed: bool) -> State:
    return "cut" if promised and not indexed else "whole"


def _asf(file: BinaryIO, size: int) -> Structure:
    file.seek(16)
    at = int.from_bytes(file.read(8), "little")  # behind the header
    file.seek(at)
    head = file.read(51)
    length, count = int.from_bytes(head[16:24], "little"), int.from_bytes(head[40:48], "little")
    # Packets are as long, and begin with a byte that says how errors are mended: mostly 82.
    if head[:16] != _ASF_DATA or head[50:] != b"\x82" or not count or length < 50 + count:
        return Structure("unknown", at)
    step = (length - 50) // count
    for here in range(at + 50, at + 50 + count * step, step):
        if here + step > size:
            return Structure("cut", here)
        file.seek(here)
        if file.read(1) != b"\x82":
            return Structure("broken", here)
    return Structure("whole", at + length)


def _flv(file: BinaryIO, size: int) -> Structure:
    file.seek(5)
    at = int.from_bytes(file.read(4), "big") + 4
    while at + _FLV_TAG <= size:
        file.seek(at)
        head = file.read(_FLV_TAG)
        if head[0] & 31 not in (8, 9, 18) or any(head[8:]):
            return Structure("broken", at)
        at += _FLV_TAG + int.from_bytes(head[1:4], "big") + 4
    return Structure("whole" if at == size else "cut", at)


def _transport(file: BinaryIO, size: int) -> Structure:
    head = file.read(204 * 8)
    for step in _TRANSPORT:
        first = next((i for i in range(step) if head[i : i + 5 * step : step] == b"G" * 5), None)
        if first is not None:
            break
    else:
        return Structure("unknown", 0)
    file.seek(first)
    at = first
    while piece := file.read(step * _PIECE):
        syncs = piece[::step]
        if syncs.strip(b"G"):
            return Structure("broken", at + step * (len(syncs) - len(syncs.lstrip(b"G"))))
        at += len(piece)
    # Of 192 bytes' packets the first 4, a clock, were read with the packet before.
    return Structure(("cut" if (at - first) % step not in (0, 188) else "whole"), at)


def _jpegs(file: BinaryIO, size: int) -> Structure:
    file.seek(max(0, size - 64))
    return Structure(
        ("whole" if file.read().rstrip(b"\0\r\n").endswith(b"\xff\xd9") else "cut"), size
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
