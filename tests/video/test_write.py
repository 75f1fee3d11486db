"""Writing: playable files, exact frame times, and no partial files."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.made_videos import make, number_of, picture

from stadkit.detections import Detections
from stadkit.errors import UsageError, VideoError
from stadkit.tubes import Tubes
from stadkit.video.decode import open_video, probe
from stadkit.video.draw import COLOURS
from stadkit.video.write import VideoWriter, save_video


def walker(times: list[float], shift: float = 0.2) -> Detections:
    """One person who moves right by `shift` from each keyframe to the next."""
    n = len(times)
    x = 0.1 + shift * np.arange(n)
    return Detections(
        video=np.array(["a"] * n, np.str_),
        time=np.array(times, np.float64),
        box=np.stack([x, np.full(n, 0.3), x + 0.4, np.full(n, 0.9)], 1).astype(np.float32),
        person=np.ones(n, np.float32),
        action=np.full((n, 1), 0.9, np.float32),
        track=np.zeros(n, np.int32),
        classes=("walk",),
    )


def test_browsers_can_play_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 96, 64, 10) as writer:
        for i in range(12):
            writer.write(picture(i), i / 10)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
        assert stream.average_rate == 10
    data = path.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")  # the index comes first
    with open_video(path) as video:
        assert [number_of(frame.rgb()) for frame in video] == list(range(12))


def test_uneven_frame_times_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.501, 7.25]
    with VideoWriter(tmp_path / "a.mp4", 96, 64, 25) as writer:
        for i, time in enumerate(times):
            writer.write(picture(i), time)
    with open_video(tmp_path / "a.mp4") as video:
        assert [frame.time for frame in video] == pytest.approx(times, abs=1e-5)


def test_frames_closer_than_a_tick_stay_distinct(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 96, 64, 25) as writer:
        for i in range(4):
            writer.write(picture(i), 1e-6 * i)
    with open_video(tmp_path / "a.mp4") as video:
        stamps = [frame.pts for frame in video]
    assert len(set(stamps)) == 4


def test_a_single_pixel_can_be_written(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 1, 1, 10) as writer:
        writer.write(np.full((1, 1, 3), 100, np.uint8), 0)
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height) == (2, 2)


def test_odd_sides_grow_by_one(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 97, 63, 10) as writer:
        writer.write(picture(5, 97, 63), 0)
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height) == (98, 64)


def test_colours_are_kept(tmp_path: Path) -> None:
    colours = np.array([*COLOURS, (255, 255, 255)], np.uint8)
    image = colours.reshape(2, 4, 3).repeat(32, 0).repeat(32, 1)
    with VideoWriter(tmp_path / "a.mp4", 128, 64, 10, crf=4) as writer:
        writer.write(image, 0)
    with open_video(tmp_path / "a.mp4") as video:
        seen = next(iter(video)).rgb()[16::32, 16::32].reshape(-1, 3)
    np.testing.assert_allclose(seen.astype(int), colours.astype(int), atol=6)


def test_wrong_frames_raise_value_error(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", 96, 64, 10)
    with pytest.raises(ValueError, match="wants uint8"):
        writer.write(np.zeros((96, 64, 3), np.uint8), 0)
    writer.write(picture(0), 0.1)
    with pytest.raises(ValueError, match=r"0\.1 s is not after"):
        writer.write(picture(1), 0.1)
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def stop_midway(path: Path) -> None:
    with VideoWriter(path, 96, 64, 10) as writer:
        writer.write(picture(0), 0)
        raise KeyboardInterrupt


def test_an_error_leaves_no_new_file_and_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        stop_midway(path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_the_file_appears_only_when_complete(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 96, 64, 10) as writer:
        writer.write(picture(0), 0)
        assert not (tmp_path / "a.mp4").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_name_of_255_bytes(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".mp4")
    with VideoWriter(path, 96, 64, 10) as writer:
        writer.write(picture(0), 0)
    assert os.path.getsize(path) > 0


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"cannot be written: No such file"):
        VideoWriter(tmp_path / "none" / "a.mp4", 96, 64, 10)


@pytest.mark.parametrize(("rotation", "side"), [(None, (640, 480)), ((90,), (480, 640))])
def test_a_saved_video_is_the_source_with_boxes(
    tmp_path: Path, rotation: tuple[int] | None, side: tuple[int, int]
) -> None:
    times = [0.0, 0.1, 0.25, 0.3, 0.45, 0.5, 0.7, 1.0]
    source = make(
        tmp_path / "a.mp4", times=times, frames=8, rotation=rotation, width=640, height=480
    )
    report = save_video(source, walker([0.0, 1.0]), tmp_path / "out.mp4", crf=4)
    assert (report.frames, report.partial) == (8, False)
    with open_video(tmp_path / "out.mp4") as video:
        assert (video.info.width, video.info.height, video.info.rotation) == (*side, 0)
        frames = [(frame.time, frame.rgb().astype(int)) for frame in video]
    assert [time for time, _ in frames] == pytest.approx(times, abs=1e-4)
    for time, pixels in frames:
        # The box's left edge at half its height.
        x = round((0.1 + 0.2 * time) * side[0])
        edge = pixels[round(0.6 * side[1]), x - 2 : x + 3]
        assert np.abs(edge - COLOURS[0]).sum(1).min() < 120


def test_linked_people_have_their_tracks_colour_and_dashes_past_a_miss(
    tmp_path: Path,
) -> None:
    source = make(tmp_path / "a.mp4", times=[0.0, 0.5, 1.0, 2.0], frames=4, width=640, height=480)
    table = walker([0.0, 2.0], shift=0.0).with_track(np.array([3, 3], np.int32))
    options: Any = {"times": np.arange(3.0), "tubes": Tubes.empty(("walk",)), "crf": 4}
    save_video(source, table, tmp_path / "out.mp4", **options)
    with open_video(tmp_path / "out.mp4") as video:
        sides = [frame.rgb().astype(int)[150:430, 62:67] for frame in video]
    inked = [(np.abs(side - COLOURS[3]).sum(2).min(1) < 120).mean() for side in sides]
    assert inked[0] > 0.95
    assert inked[3] > 0.95
    assert 0.3 < inked[1] < 0.8  # keyframe 1 is empty
    assert 0.3 < inked[2] < 0.8


def test_audio_is_copied_in_sync(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", frames=30, sound=5.0)
    save_video(source, walker([0.0]), tmp_path / "out.mp4")
    with av.open(str(source)) as given, av.open(str(tmp_path / "out.mp4")) as copy:
        before, after = (
            [(float(p.pts * p.time_base), bytes(p)) for p in c.demux(audio=0) if p.size]
            for c in (given, copy)
        )
    kept = [pair for pair in before if 0 <= pair[0] < 2.9]
    assert len(kept) > 20
    assert [data for _, data in after] == [data for _, data in kept]
    assert [t for t, _ in after] == pytest.approx([t for t, _ in kept], abs=2e-3)


def test_audio_unsupported_by_mp4_is_dropped(tmp_path: Path) -> None:
    source = make(tmp_path / "a.ts", sound=2.0)  # AAC without a header
    save_video(source, walker([0.0]), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [s.type for s in container.streams] == ["video"]


def test_a_truncated_source_is_reported(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mkv", frames=60)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 7 // 10])
    report = save_video(source, walker([0.0]), tmp_path / "out.mp4")
    assert report.partial
    assert probe(tmp_path / "out.mp4").expected == report.frames


def test_a_part_starts_at_zero_with_its_audio(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", frames=30, sound=3.0)
    save_video(source, walker([1.0]), tmp_path / "out.mp4", start=1.0, duration=0.5)
    with open_video(tmp_path / "out.mp4") as video:
        seen = [(frame.time, number_of(frame.rgb())) for frame in video]
    assert [number for _, number in seen] == [10, 11, 12, 13, 14]
    assert [time for time, _ in seen] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-3)
    with av.open(str(source)) as given, av.open(str(tmp_path / "out.mp4")) as copy:
        whole = {bytes(p): float(p.pts * p.time_base) for p in given.demux(audio=0) if p.size}
        part = [(bytes(p), float(p.pts * p.time_base)) for p in copy.demux(audio=0) if p.size]
    assert len(part) == 3  # 0.128 s each, started by the last frame at 0.4 s
    assert [time + 1 for _, time in part] == pytest.approx([whole[d] for d, _ in part], abs=2e-3)


def test_a_part_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", frames=5)
    with pytest.raises(VideoError, match=r"ends before the start at 9 s"):
        save_video(source, walker([0.0]), tmp_path / "out.mp4", start=9.0)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_the_source_is_never_overwritten(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", frames=2)
    os.link(source, tmp_path / "same.mp4")
    before = source.read_bytes()
    for out in (source, tmp_path / "same.mp4"):
        with pytest.raises(UsageError, match="is the source"):
            save_video(source, walker([0.0]), out)
    assert source.read_bytes() == before


def test_an_unreadable_source_leaves_no_file(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    source.write_text("no video")
    with pytest.raises(VideoError, match="text file"):
        save_video(source, walker([0.0]), tmp_path / "out.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_an_empty_table_gives_a_plain_copy(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", frames=5)
    save_video(source, Detections.empty(("walk",)), tmp_path / "out.mp4")
    with open_video(tmp_path / "out.mp4") as video:
        assert [number_of(frame.rgb()) for frame in video] == list(range(5))


def test_a_late_starting_stream_begins_at_zero(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mkv", times=[5.0, 5.1, 5.3], frames=3)
    save_video(source, walker([0.0]), tmp_path / "out.mp4")
    with open_video(tmp_path / "out.mp4") as video:
        assert [frame.time for frame in video] == pytest.approx([0.0, 0.1, 0.3], abs=1e-3)
    assert probe(source).start == pytest.approx(float(Fraction(5)), abs=1e-3)
