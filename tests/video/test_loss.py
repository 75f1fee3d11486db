"""Signs of loss where no count tells."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_videos import make

from stadkit.video.decode import open_video
from stadkit.video.frame import Report
from stadkit.video.loss import Loss


def loss(name: str, size: int, codec: str = "h264", streams: int = 1) -> Loss:
    kind = SimpleNamespace(codec=SimpleNamespace(canonical_name=codec))
    container = SimpleNamespace(
        format=SimpleNamespace(name=name), size=size, streams=[None] * streams
    )
    return Loss(container, SimpleNamespace(codec_context=kind), 0.04)


def packet(pos: int | None, size: int) -> Any:
    return SimpleNamespace(pos=pos, size=size)


@pytest.mark.parametrize(("size", "cut"), [(188 * 9, 0), (192 * 9, 0), (1000, 1), (-22, 0)])
def test_transport_packets_are_whole(size: int, cut: int) -> None:
    assert len(loss("mpegts", size).signs(True)) == cut


def test_pictures_go_on_to_the_end_of_the_file() -> None:
    seen = loss("matroska,webm", 1000)
    seen.packet(packet(600, 100))
    seen.packet(packet(None, 900))
    assert seen.signs(False) == ["no picture in the last 300 of 1000 bytes"]
    assert seen.signs(True) == []  # a length that the container knows tells more
    seen.packet(packet(700, 60))
    assert seen.signs(False) == []
    with_sound = loss("matroska,webm", 1000, streams=2)
    assert with_sound.signs(False) == []


def test_gaps_where_every_frame_lasts_as_long() -> None:
    steady, free = loss("mpeg", 1000, "mpeg2video"), loss("mpeg", 1000)
    for time in (0.04, 0.1, 0.14, 0.28, 0.32, 0.5):  # .06 is telecine
        steady.frame(time)
        free.frame(time)
    assert steady.signs(True) == ["2 gaps in its time"]
    assert free.signs(True) == []


def report(path: Path) -> Report:
    with open_video(path) as video:
        assert len(list(video)) > 1
        return video.report


def test_a_transport_stream_that_is_cut_says_so(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ts", frames=30)
    assert not report(path).partial
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3 // 188 * 188 + 90])
    assert "the last transport packet is cut" in report(path).reason


def test_an_avi_knows_its_frames(tmp_path: Path) -> None:
    path = make(tmp_path / "a.avi", "mjpeg", frames=30, pixel_format="yuvj420p")
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"00dc", 0, data.find(b"idx1") * 8 // 10)])
    found = report(path)
    assert found.expected == 30
    assert found.reason.startswith(f"{found.frames} of about 30 frames")
