"""Transport streams concatenated with `cat`, and lost packets."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.made_videos import make

from stadkit.video.clips import Cut, clips
from stadkit.video.decode import open_video
from stadkit.video.frame import Report
from stadkit.video.timestamps import Seams, is_seam

VIDEO_PID, PACKET = 256, 188  # FFmpeg's PID for video; bytes of a packet


def report(path: Path, data: bytes) -> tuple[list[float], Report]:
    path.write_bytes(data)
    with open_video(path, threads=1) as video:
        times = [frame.time for frame in video]
        return times, video.report


def piece(folder: Path, codec: str = "libx264", offset: float = 0.0, frames: int = 30) -> bytes:
    """A transport stream of 10 frames per second whose clock starts `offset` seconds later."""
    options, rate = {"g": "10", "bf": "0"}, 10 if codec == "libx264" else 25
    muxer = {"output_ts_offset": str(offset)}
    path = make(folder / "p.ts", codec, frames=frames, rate=rate, options=options, muxer=muxer)
    return path.read_bytes()


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize("offset", [0.0, 500.0])
def test_concatenated_streams_are_complete(tmp_path: Path, codec: str, offset: float) -> None:
    first, second = piece(tmp_path, codec, frames=29), piece(tmp_path, codec, offset)
    for data, count in ((first + second, 59), (first + second + first, 88)):
        times, found = report(tmp_path / "a.ts", data)
        assert (len(times), found.reason) == (count, "")


def test_no_clip_spans_the_gap_between_two_recordings(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(piece(tmp_path, frames=29) + piece(tmp_path, offset=500.0, frames=29))
    with open_video(path) as video:
        found = list(clips(video, Cut(4, 0.2, 2, 32)))
        assert video.report.note == "no frames from 2.8 s to 500.0 s: skipped"
        assert not video.report.partial
    assert [clip.time for clip in found] == [0, 1, 2, 500, 501, 502]
    # No clip mixes frames of both: edge frames of a recording repeat.
    assert found[3].times == pytest.approx([500, 500, 500, 500.2])
    assert found[2].times == pytest.approx([1.6, 1.8, 2.0, 2.2])


def test_a_pause_in_one_recording_keeps_its_frame(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ts", frames=3, slots=[0, 1, 201])
    with open_video(path) as video:
        assert len(list(clips(video, Cut(1, 0.2, 0, 32)))) == 21
        assert video.report.note == ""


def test_gaps_by_hand() -> None:
    seams = Seams()
    assert not seams.frame(5.0)  # no seam
    seams.packet()
    assert [seams.frame(time) for time in (5.1, 90.0, 200.0)] == [False, True, False]
    seams.packet()
    seams.frame(300.0)
    assert seams.note == (
        "no frames from 5.1 s to 90.0 s and in 1 more gap between recordings: skipped"
    )


def test_segments_on_one_clock_are_complete(tmp_path: Path) -> None:
    first, second = piece(tmp_path, frames=29), piece(tmp_path, offset=2.9)
    times, found = report(tmp_path / "a.ts", first + second)
    assert times == pytest.approx([i / 10 for i in range(59)], abs=1e-6)
    assert found.reason == ""


def packets(data: bytes) -> list[bytes]:
    return [data[i : i + PACKET] for i in range(0, len(data), PACKET)]


def kind(packet: bytes) -> int:
    return (packet[1] & 31) << 8 | packet[2]


def test_lost_packets_are_not_a_seam(tmp_path: Path) -> None:
    every = packets(piece(tmp_path))
    pictures = [i for i, packet in enumerate(every) if kind(packet) == VIDEO_PID]
    starts = [i for i in pictures if every[i][1] & 0x40]
    middle = starts[14]
    # The end of a frame before the next one, with and without a table in between; a whole frame; a
    # frame and the table after it.
    table = next(i for i in range(middle, len(every)) if kind(every[i]) == 0)
    last = max(i for i in pictures if i < table)
    before = max(i for i in pictures if i < starts[15])
    for first, count in ((last, 1), (before, 1), (last, table + 2 - last)):
        _, found = report(tmp_path / "a.ts", b"".join(every[:first] + every[first + count :]))
        assert "1 damaged packet" in found.reason, (first, count)


def test_a_seam_by_hand(tmp_path: Path) -> None:
    def packet(number: int, counter: int, stamp: int | None = None) -> bytes:
        head = bytes([0x47, (0x40 if stamp is not None else 0) | number >> 8, number & 255])
        body = b""
        if stamp is not None:  # a frame with a timestamp
            ticks = [0x21 | stamp >> 29 & 14, stamp >> 22 & 255, 1 | stamp >> 14 & 254]
            ticks += [stamp >> 7 & 255, 1 | stamp << 1 & 254]
            body = b"\0\0\1\xe0\0\0\x80\x80\x05" + bytes(ticks)
        return (head + bytes([0x10 | counter]) + body).ljust(188, b"\xff")

    def seam(*then: bytes) -> bool:
        steady = [packet(256, i, 9000 * i) for i in range(4)]
        path = tmp_path / "a.ts"
        path.write_bytes(b"".join([packet(0, 0), *steady, *then, packet(256, 9, 90_000)]))
        return is_seam(path, PACKET, VIDEO_PID)

    assert seam(packet(0, 9), packet(256, 7, 36_000))  # a new table, the next frame
    assert seam(packet(0, 1), packet(256, 7, 0))  # the next table, a different clock
    assert not seam(packet(0, 1), packet(256, 7, 36_000))  # only a lost packet
    assert not seam(packet(0, 9), packet(256, 7, 54_000))  # a frame is missing
    assert not seam(packet(256, 7, 0))  # no table
    assert not seam(packet(0, 9), packet(256, 7))  # the middle of a frame
    assert not seam(packet(256, 4, 36_000), packet(256, 5), packet(256, 6), packet(256, 7))
