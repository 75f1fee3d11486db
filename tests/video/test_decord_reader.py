"""The decord reader agrees with PyAV or refuses the file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.made_videos import make, remux

from stadkit.errors import UsageError, VideoError
from stadkit.video.clips import Cut, clips
from stadkit.video.decode import open_video


def frames(path: Path, reader: str) -> list[tuple[float, int | None, tuple[int, int], Any]]:
    with open_video(path, reader) as video:
        return [(f.time, f.pts, f.size, f.rgb().astype(int)) for f in video]


BOTH = {
    "plain.mp4": ("libx264", {}),
    "b_frames.mp4": ("libx264", {"options": {"bf": "3"}}),
    "fragments.mp4": ("libx264", {"muxer": {"movflags": "frag_keyframe+empty_moov"}}),
    "uneven.mp4": ("libx264", {"times": [0, 0.1, 0.15, 0.5, 2.0, 2.02], "frames": 6}),
    "a.mkv": ("libx264", {}),
    "a.webm": ("libvpx-vp9", {}),
    "turned.mp4": ("libx264", {"rotation": (90,)}),
    "upside_down.mp4": ("libx264", {"rotation": (180,)}),
    "wide.mp4": ("libx264", {"aspect": 2}),
    "grey.mp4": ("libx264", {"pixel_format": "gray"}),
    "ten_bit.mp4": ("libx264", {"pixel_format": "yuv420p10le"}),
    "single.mp4": ("libx264", {"frames": 1}),
}


@pytest.mark.parametrize("name", BOTH)
def test_both_readers_give_the_same(tmp_path: Path, name: str) -> None:
    pytest.importorskip("decord")
    codec, settings = BOTH[name]
    path = make(tmp_path / name, codec, **settings)  # type: ignore[arg-type]
    first, second = frames(path, "pyav"), frames(path, "decord")
    assert [f[:3] for f in first] == [f[:3] for f in second]
    for a, b in zip(first, second, strict=True):
        assert np.abs(a[3] - b[3]).mean() < 4
    with open_video(path, "decord") as video:
        assert len(list(video)) == len(first)
        assert (video.report.frames, video.report.partial) == (len(first), False)
        assert video.info.reader == "decord"


def test_both_readers_give_the_same_clips(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    path = make(tmp_path / "a.mp4", frames=40)
    found = []
    for reader in ("pyav", "decord"):
        with open_video(path, reader) as video:
            found.append(list(clips(video, Cut(4, 0.2, 2, 32), every=0.5)))
    for a, b in zip(*found, strict=True):
        assert (a.time, a.size) == (b.time, b.size)
        np.testing.assert_array_equal(a.times, b.times)
        assert np.abs(a.pixels.astype(int) - b.pixels).mean() < 4


@pytest.mark.parametrize(
    ("name", "codec", "settings", "why"),
    [
        ("a.ts", "libx264", {}, "no correct frame times for mpegts"),
        ("a.avi", "mpeg4", {"b_frames": 2}, "no correct frame times for avi"),
        ("a.mov", "png", {"pixel_format": "rgb24"}, "does not decode png correctly"),
        ("a.mkv", "mpeg2video", {"rate": 25}, "does not decode mpeg2video correctly"),
        ("a.mp4", "libx264", {"rotation": (0, True)}, "display matrix mirrors"),
    ],
)
def test_files_decord_would_misread_are_refused(
    tmp_path: Path, name: str, codec: str, settings: dict[str, Any], why: str
) -> None:
    path = make(tmp_path / name, codec, **settings)
    with pytest.raises(VideoError, match=f"{why}.*use the pyav reader"):
        open_video(path, "decord")


def test_an_edit_list_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    source = make(tmp_path / "a.mp4")
    with av.open(str(source)) as container:
        tick = container.streams.video[0].time_base
    cut = remux(source, tmp_path / "cut.mp4", shift=-round(1.3 / tick))
    with pytest.raises(VideoError, match="it counts 30 frames instead of 17"):
        open_video(cut, "decord")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    path = make(tmp_path / "a.mp4", frames=60, muxer={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    with pytest.raises(VideoError, match="use the pyav reader"):
        open_video(path, "decord")


def test_damage_ends_the_reading_and_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    path = make(tmp_path / "a.mp4", frames=30, options={"g": "10"})
    with open_video(path, "decord") as video:
        video._next = lambda: None  # type: ignore[attr-defined]
        assert list(video) == []
        assert (video.report.partial, video.report.expected) == (True, 30)


def test_a_missing_decord_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(UsageError, match="not installed"):
        open_video(make(tmp_path / "a.mp4", frames=2), "decord")
