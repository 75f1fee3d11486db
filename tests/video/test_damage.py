"""Damaged and truncated files: decodable frames are read and the report says partial."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.made_videos import make, number_of

from stadkit.errors import VideoError
from stadkit.video.clips import Cut, clips
from stadkit.video.decode import open_video
from stadkit.video.frame import Report


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    signal.alarm(60)
    yield
    signal.alarm(0)


def read(path: Path) -> tuple[list[int], list[float], Report]:
    with open_video(path) as video:
        frames = [(number_of(frame.rgb()), frame.time) for frame in video]
        return [n for n, _ in frames], [time for _, time in frames], video.report


KINDS = {
    "a.mp4": ("libx264", {"muxer": {"movflags": "+faststart"}, "options": {"g": "12"}}),
    "a.mkv": ("libx264", {"options": {"g": "12"}}),
    "a.webm": ("libvpx-vp9", {}),
    "a.ts": ("libx264", {"options": {"g": "12"}}),
    "a.avi": ("mpeg4", {"b_frames": 2}),
}


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_a_truncated_file_gives_its_beginning_and_is_partial(tmp_path: Path, name: str) -> None:
    codec, settings = KINDS[name]
    path = make(tmp_path / name, codec, frames=60, **settings)  # type: ignore[arg-type]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.7)])
    numbers, times, report = read(path)
    assert 5 < len(numbers) < 60
    assert numbers == list(range(len(numbers)))
    assert times == pytest.approx([n / 10 for n in numbers], abs=1e-3)
    assert report.partial
    assert report.reason.startswith(f"{len(numbers)} of about 60 frames")


def test_a_damaged_packet_is_counted_and_skipped(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", "mjpeg", frames=20, pixel_format="yuvj420p")
    data = bytearray(path.read_bytes())
    start = data.find(b"\xff\xd8\xff", data.find(b"\xff\xd8\xff") + 3)  # the second frame
    count = min(600, data.find(b"\xff\xd8\xff", start + 3) - start)  # encoders differ in size
    data[start : start + count] = bytes(count)
    path.write_bytes(data)
    numbers, times, report = read(path)
    assert numbers == [0, *range(2, 20)]
    assert times == pytest.approx([n / 10 for n in numbers])
    assert (report.frames, report.errors, report.partial) == (19, 1, True)
    assert report.reason == "19 of about 20 frames; 1 damaged packet"


def test_frames_with_concealed_errors_are_counted(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.mp4", frames=20, width=320, height=240, options={"g": "5", "crf": "1"}
    )
    data = bytearray(path.read_bytes())
    middle = data.find(b"mdat") + len(data) // 2
    data[middle : middle + 40] = b"\xa5" * 40
    path.write_bytes(data)
    _, _, report = read(path)
    assert report.damaged > 0
    assert report.partial


def test_concatenated_streams_of_two_sizes_are_read(tmp_path: Path) -> None:
    first, second = (
        make(tmp_path / "1.ts", frames=30),
        make(tmp_path / "2.ts", frames=20, width=64, height=48),
    )
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    with open_video(path) as video:
        sizes, times = zip(*((frame.size, frame.time) for frame in video), strict=True)
    assert sizes == ((64, 96),) * 30 + ((48, 64),) * 20
    assert times == pytest.approx([n / 10 for n in range(50)], abs=1e-6)
    with open_video(path) as video:
        shapes = {clip.pixels.shape for clip in clips(video, Cut(4, 0.2, 2, 32))}
    assert shapes == {(4, 32, 48, 3)}


def test_an_empty_packet_is_not_the_end(tmp_path: Path) -> None:
    path = make(tmp_path / "a.avi", "mjpeg", frames=20, pixel_format="yuvj420p")
    data = path.read_bytes()
    frames = data[: data.find(b"idx1")]  # without the index, chunks are read sequentially
    second = frames.find(b"00dc", frames.find(b"00dc", frames.find(b"movi")) + 4)
    path.write_bytes(frames[:second] + b"00dc" + bytes(4) + frames[second:])
    numbers, times, report = read(path)
    assert numbers == list(range(20))
    assert times == pytest.approx([0.0, *(n / 10 for n in range(2, 21))])
    assert report.errors == 0


@pytest.mark.parametrize("name", KINDS)
def test_flipped_bytes_never_crash_or_hang(tmp_path: Path, name: str) -> None:
    codec, settings = KINDS[name]
    path = make(tmp_path / name, codec, frames=30, **settings)  # type: ignore[arg-type]
    sound = np.frombuffer(path.read_bytes(), np.uint8)
    for seed in range(30):
        random = np.random.default_rng(seed)
        data, count = sound.copy(), random.integers(1, 30)
        data[random.integers(0, len(data), count)] = random.integers(0, 256, count)
        path.write_bytes(data.tobytes())
        try:
            _, times, report = read(path)
        except VideoError:
            continue
        assert all(a < b for a, b in pairwise(times))
        assert len(times) == report.frames <= 60
        with open_video(path) as video:
            assert sum(1 for _ in clips(video, Cut(4, 0.2, 2, 32), every=100)) <= 40


def test_a_truncated_file_gives_clips_and_a_report(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", frames=60)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.7)])
    with open_video(path) as video:
        found = list(clips(video, Cut(4, 0.2, 2, 32)))
        assert 1 < len(found) < 6
        assert video.report.partial
