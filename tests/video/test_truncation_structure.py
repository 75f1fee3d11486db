"""The box structure of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from stadkit.video.truncation import ebml_number, structure


def avi(*chunks: bytes, index: bytes = b"idx1" + bytes(4), end: int = 0) -> bytes:
    """An AVI whose header holds only the flag AVIF_HASINDEX, declared `end` bytes too long."""
    header = b"LIST" + (36).to_bytes(4, "little") + b"hdrlavih" + bytes(16) + b"\x10" + bytes(11)
    film = b"".join(chunks)
    films = b"LIST" + (4 + len(film)).to_bytes(4, "little") + b"movi" + film
    body = b"AVI " + header + films + index
    return b"RIFF" + (len(body) + end).to_bytes(4, "little") + body


PICTURE = b"00dc\x02\0\0\0ab"
ODD = b"00dc\x03\0\0\0abc"
TAG = (
    b"\x09\0\0\x02" + bytes(7) + b"ab\0\0\0\x0d"
)  # an FLV tag: 11 bytes of header, 2 of video, then 13, its size
FLV = b"FLV\x01\x01\0\0\0\x09\0\0\0\0"
CLUSTER = b"\x1f\x43\xb6\x75\x84\xa3\x82ab"
SEGMENT = b"\x18\x53\x80\x67"
PACKET = b"G" + bytes(187)


@pytest.mark.parametrize(
    ("container", "data", "state", "at"),
    [
        ("avi", avi(PICTURE, PICTURE), "complete", 96),
        ("avi", avi(PICTURE, ODD + b"\0"), "complete", 98),
        ("avi", avi(ODD, PICTURE), "complete", 97),  # without padding, as some software writes it
        ("avi", avi(PICTURE) + b"rubbish behind it", "complete", 86),
        ("avi", avi(PICTURE, bytes(10), PICTURE), "damaged", 78),
        ("avi", avi(PICTURE, index=b""), "truncated", 78),
        ("avi", avi(PICTURE, end=5), "truncated", 86),
        ("flv", FLV + TAG + TAG, "complete", 47),
        ("flv", FLV + TAG + TAG[:-1], "truncated", 47),
        ("flv", FLV + TAG + bytes(17), "damaged", 30),
        ("matroska", SEGMENT + b"\x89" + CLUSTER, "complete", 14),
        ("matroska", SEGMENT + b"\x8a" + CLUSTER, "truncated", 14),
        ("matroska", SEGMENT + b"\xff" + CLUSTER, "unknown", 14),  # of unknown length
        ("matroska", SEGMENT + b"\xff" + CLUSTER[:-1], "truncated", 14),
        ("matroska", SEGMENT + b"\x89" + CLUSTER[:5] + bytes(4), "damaged", 10),
        ("matroska", SEGMENT + b"\xff" + CLUSTER + bytes(20), "damaged", 14),
        ("matroska", SEGMENT + b"\x89" + CLUSTER + bytes(20), "complete", 14),
        ("mov", b"\0\0\0\x0aftypab" + bytes(20), "damaged", 10),
        ("mov", b"\0\0\0\x0aftypab\0\0\0\x08mdat", "complete", 18),
        ("mov", b"\0\0\0\x0aftypab\0\0\0\x09mdat", "truncated", 19),
        ("mov", b"\0\0\0\x0aftypab\0\0\0\0mdat", "unknown", 10),  # to the end of the file
        ("mpegts", PACKET * 20, "complete", 3760),
        ("mpegts", (bytes(4) + PACKET) * 20, "complete", 3840),
        ("mpegts", PACKET * 20 + PACKET[:90], "truncated", 3850),
        ("mpegts", PACKET * 10 + bytes(376) + PACKET * 10, "damaged", 1880),
        ("mjpeg", b"\xff\xd8ab\xff\xd9", "complete", 6),
        ("mjpeg", b"\xff\xd8ab", "truncated", 4),
        ("nut", b"anything", "unknown", 0),
    ],
)
def test_boxes_by_hand(tmp_path: Path, container: str, data: bytes, state: str, at: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    found = structure(path, container)
    assert (found.state, found.at) == (state, at)


def test_blocks_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(SEGMENT + b"\x92" + CLUSTER * 2)
    assert structure(path, "matroska").blocks == 2


def test_other_than_files_is_unknown(tmp_path: Path) -> None:
    assert structure(tmp_path / "gone", "avi").state == "unknown"


def test_ebml_numbers() -> None:
    assert ebml_number(b"\x81") == (1, 1)
    assert ebml_number(b"\x40\x02") == (2, 2)
    assert ebml_number(b"\xff") == (-1, 1)
    assert ebml_number(b"\x1a\x45\xdf\xa3", keep_mark=True) == (0x1A45DFA3, 4)
    assert ebml_number(b"") == (0, 1)
