"""Signs of missing data in files without a frame count."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from helpers.made_videos import make, number_of, stretch

from stadkit.video.decode import open_video
from stadkit.video.frame import Report
from stadkit.video.truncation import TruncationCheck


def loss(name: str, size: int, codec: str = "h264", streams: int = 1) -> TruncationCheck:
    kind = SimpleNamespace(codec=SimpleNamespace(canonical_name=codec))
    container = SimpleNamespace(
        format=SimpleNamespace(name=name), size=size, streams=[None] * streams
    )
    return TruncationCheck(container, SimpleNamespace(codec_context=kind), 0.04)


def packet(pos: int | None, size: int) -> Any:
    return SimpleNamespace(pos=pos, size=size)


@pytest.mark.parametrize(("size", "cut"), [(188 * 9, 0), (192 * 9, 0), (1000, 1), (-22, 0)])
def test_transport_packets_are_complete(size: int, cut: int) -> None:
    assert len(loss("mpegts", size).signs(True)) == cut


def test_video_packets_reach_the_end_of_the_file() -> None:
    seen = loss("matroska,webm", 1000)
    seen.packet(packet(600, 100))
    seen.packet(packet(None, 900))
    assert seen.signs(False) == ["no video data in the last 300 of 1000 bytes"]
    assert seen.signs(True) == []  # a frame count known to the container is more reliable
    seen.packet(packet(700, 60))
    assert seen.signs(False) == []
    with_sound = loss("matroska,webm", 1000, streams=2)
    assert with_sound.signs(False) == []


def test_gaps_at_a_constant_frame_rate() -> None:
    steady, free = loss("mpeg", 1000, "mpeg2video"), loss("mpeg", 1000)
    for time in (0.04, 0.1, 0.14, 0.28, 0.32, 0.5):  # .06 is telecine
        steady.frame(time)
        free.frame(time)
    assert steady.signs(True) == ["2 gaps in the frame times"]
    assert free.signs(True) == []


def report(path: Path) -> Report:
    with open_video(path) as video:
        assert len(list(video)) > 1
        return video.report


def test_a_truncated_transport_stream_is_reported(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ts", frames=30)
    assert not report(path).partial
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3 // 188 * 188 + 90])
    assert "the last transport packet is truncated" in report(path).reason


def test_an_avi_lists_its_frames(tmp_path: Path) -> None:
    path = make(tmp_path / "a.avi", "mjpeg", frames=30, pixel_format="yuvj420p")
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"00dc", 0, data.find(b"idx1") * 8 // 10)])
    found = report(path)
    assert found.expected == 30
    assert found.reason.startswith(f"{found.frames} of about 30 frames")


UNEVEN = [*range(30), *(30 + 30 * i for i in range(1, 6))]  # 30 frames per second, then 1
DROPPED = [slot for slot in range(48) if slot % 6 != 3]  # 40 frames in 48 slots
SHORT = {"options": {"g": "10"}}  # GOP size
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "a.mp4": ("libx264", {}),
    "fragments.mp4": ("libx264", {"muxer": {"movflags": "frag_keyframe+empty_moov"}, **SHORT}),
    "a.mkv": ("libx264", SHORT),
    "a.webm": ("libvpx", {}),
    "a.flv": ("flv", {}),
    "a.ts": ("libx264", {}),
    "a.wmv": ("wmv2", {}),
    "a.avi": ("mpeg4", {}),
    "jpegs.avi": ("mjpeg", {"pixel_format": "yuvj420p"}),
    "a.nut": ("libx264", {}),
}
CUT = ("a.mkv", "a.webm", "a.flv", "a.wmv", "a.avi")


def uneven(path: Path, slots: list[int]) -> Path:
    codec, settings = KINDS[path.name]
    return make(path, codec, frames=len(slots), rate=30, slots=slots, **settings)


@pytest.mark.parametrize("slots", [UNEVEN, DROPPED], ids=["uneven", "dropped"])
@pytest.mark.parametrize("name", KINDS)
def test_variable_frame_rates_are_complete(tmp_path: Path, name: str, slots: list[int]) -> None:
    with open_video(uneven(tmp_path / name, slots)) as video:
        found = [(number_of(frame.rgb()), frame.time) for frame in video]
        assert (video.report.partial, video.report.reason) == (False, "")
    assert [number for number, _ in found] == list(range(len(slots)))
    times = [time for _, time in found]
    assert times == pytest.approx([slot / 30 for slot in slots], abs=1.1e-3)


@pytest.mark.parametrize("name", [*CUT, "fragments.mp4"])
def test_a_missing_end_is_detected_at_variable_frame_rates(tmp_path: Path, name: str) -> None:
    path = uneven(tmp_path / name, UNEVEN)
    data = path.read_bytes()
    for share in (0.6, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        assert report(path).partial


@pytest.mark.parametrize("name", [*CUT, "a.ts"])
def test_data_missing_from_the_middle_is_detected(tmp_path: Path, name: str) -> None:
    path = uneven(tmp_path / name, DROPPED)
    data = path.read_bytes()
    start, end = int(len(data) * 0.5), int(len(data) * 0.6)
    for damaged in (data[:start] + data[end:], data[:start] + bytes(end - start) + data[end:]):
        path.write_bytes(damaged)
        assert report(path).partial


def test_a_long_last_frame_is_no_loss(tmp_path: Path) -> None:
    path = stretch(make(tmp_path / "a.mkv", frames=30), 20.0)
    assert not report(path).partial
    data = path.read_bytes()
    path.write_bytes(data[: data.find(b"\x1c\x53\xbb\x6b", 1000) - 100])  # before the index
    assert report(path).reason.endswith(" of 20.0 s; the file is truncated")
    path.write_bytes(data[: len(data) * 3 // 4] + bytes(len(data) // 4))
    assert report(path).partial


def test_audio_hides_no_loss(tmp_path: Path) -> None:
    path = make(tmp_path / "a.flv", "flv", frames=30, sound=3.0)
    assert not report(path).partial
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert report(path).partial


def test_an_avi_with_a_truncated_index_is_reported(tmp_path: Path) -> None:
    path = make(tmp_path / "a.avi", "mpeg4", frames=30)
    path.write_bytes(path.read_bytes()[:-100])
    found = report(path)
    assert (found.frames, found.reason) == (30, "the file is truncated")


def test_an_avi_must_have_its_listed_frames(tmp_path: Path) -> None:
    path = uneven(tmp_path / "a.avi", DROPPED)
    _, _, chunks = path.read_bytes().partition(b"idx1")[0].partition(b"movi")
    assert chunks.count(b"00dc" + bytes(4)) == 8  # slots 3, 9 ... 45 are empty
    found = report(path)
    assert (found.frames, found.expected, found.partial) == (40, 40, False)


def test_a_block_without_a_packet_is_detected(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", "mpeg4", frames=30, options={"g": "5"})
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        at = [packet.pos for packet in container.demux(video=0) if packet.size][20]
    track = data.find(b"\x81", at)
    data[track] = 0x85  # no such track number
    path.write_bytes(data)
    # FFmpeg continues with the next cluster.
    assert report(path).reason.endswith(" of 30 blocks cannot be read")
