"""Checks that a path is a video file, before FFmpeg opens it.

FFmpeg would block on a pipe or follow a playlist to other files.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from stadkit.errors import VideoError

HEAD = 4096  # bytes examined

# Extensions of files treated as videos in a folder; compare in lower case.
EXTENSIONS = (
    *(".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov"),
    *(".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"),
)

JPEG = b"\xff\xd8\xff"

# First bytes -> description of the file.
KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the video; run `git lfs pull`"),
    (b"#EXTM3U", "a playlist; give the videos it lists"),
    (b"ffconcat", "a playlist; give the videos it lists"),
    (b"[playlist]", "a playlist; give the videos it lists"),
    (b"<!doctype html", "a web page, not a video; download the video itself"),
    (b"<html", "a web page, not a video; download the video itself"),
    (b"\x89png", "an image, not a video"),
    (JPEG, "an image, not a video"),
    (b"pk\x03\x04", "a zip archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"%pdf", "a PDF, not a video"),
)


def shown(path: Path) -> str:
    """The path for a one-line message: escaped if it holds unprintable characters."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def check_file(path: Path) -> bytes:
    """Read the first bytes of a file that may be a video; raises VideoError otherwise."""
    try:
        mode, size = os.stat(path).st_mode, os.stat(path).st_size
    except FileNotFoundError as error:
        raise VideoError(f"{shown(path)}: no such file; check the path.") from error
    except (OSError, ValueError) as error:
        raise VideoError(f"{shown(path)}: cannot be opened: {_why(error)}.") from error
    if not stat.S_ISREG(mode):
        raise VideoError(f"{shown(path)}: is a {_kind(mode)}, not a file; give a video file.")
    if size == 0:
        raise VideoError(f"{shown(path)}: is empty (0 bytes); copy or download it again.")
    head = _head(path)
    reason = recognise(head)
    if reason and not (head.startswith(JPEG) and is_jpegs(path)):
        raise VideoError(f"{shown(path)}: is {reason}.")
    return head


def recognise(head: bytes) -> str | None:
    """Describe a file that is not a video, from its first bytes; None if it may be one."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for magic, kind in KINDS:
        if start.startswith(magic.lower()):
            return kind
    if start.startswith(b"yuv4mpeg2"):  # raw video with a text header
        return None
    return "a text file, not a video" if _is_text(head) else None


def is_jpegs(path: Path) -> bool:
    """Whether a file that begins with a JPEG continues with another: a stream, as cameras write.

    An MPF (Multi-Picture Format) file, with depth, gain map or stereo images, is not a stream.
    """
    with open(path, "rb") as file:
        at = 2
        while True:
            file.seek(at)
            head = file.read(8)
            if len(head) < 8 or head[0] != 0xFF:
                return False
            if head[1] == 0xDA:  # start of scan: image data follows
                break
            if head[1] == 0xE2 and head[4:] == b"MPF\0":
                return False
            at += 1 if head[1] == 0xFF else 2 + int.from_bytes(head[2:4], "big")
        file.seek(at)
        before = b""
        while piece := file.read(1 << 16):
            data = before + piece
            # In image data, FF is followed by 0 or a restart marker.
            end = data.find(b"\xff\xd9")
            if end >= 0:
                after = data[end + 2 :] + file.read(64)
                return after.lstrip(b"\0\r\n").startswith(JPEG)
            before = data[-1:]
    return False


def has_moov(path: Path) -> bool:
    """Whether an MP4 or QuickTime file has a complete index, the top-level `moov` box."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        at = 0
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length, name = int.from_bytes(header[:4], "big"), header[4:8]
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if name == b"moov":
                return at + length <= size
            if length < 8:  # 0: extends to the end of the file; else damaged
                return False
            at += length
    return False


def looks_like_mp4(head: bytes) -> bool:
    """Whether the first box is one with which MP4 and QuickTime files start."""
    return head[4:8] in (b"ftyp", b"mdat", b"moov", b"free", b"skip", b"wide", b"pnot")


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(HEAD)
    except PermissionError as error:
        raise VideoError(f"{shown(path)}: permission denied; check its access rights.") from error
    except OSError as error:
        raise VideoError(f"{shown(path)}: cannot be read: {_why(error)}.") from error


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "folder",
        stat.S_IFIFO: "named pipe",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "device",
        stat.S_IFBLK: "device",
    }
    return kinds.get(stat.S_IFMT(mode), "special file")


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True  # UTF-16
    control = set(range(32)) - {9, 10, 12, 13, 27}
    if control & set(head):
        return False
    try:
        head[: max(len(head) - 3, 1)].decode()  # the last character may be truncated
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 6
    return True
