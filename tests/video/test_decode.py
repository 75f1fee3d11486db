"""Reading intact files: frames, times, orientation and colours."""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from helpers.made_videos import make, number_of, picture, remux
from hypothesis import given, settings
from hypothesis import strategies as st

from stadkit.errors import UsageError
from stadkit.video.decode import open_video, probe
from stadkit.video.frame import Report, displayed, judge


def read(path: Path, reader: str = "pyav") -> tuple[list[int], list[float], Report]:
    with open_video(path, reader) as video:
        frames = [(number_of(frame.rgb()), frame.time) for frame in video]
        return [n for n, _ in frames], [time for _, time in frames], video.report


KINDS = {
    "h264.mp4": ("libx264", {}),
    "fragments.mp4": ("libx264", {"muxer": {"movflags": "frag_keyframe+empty_moov"}}),
    "h264.mkv": ("libx264", {}),
    "vp9.webm": ("libvpx-vp9", {}),
    "b_frames.avi": ("mpeg4", {"b_frames": 2}),
    "h264.avi": ("libx264", {}),
    "stream.ts": ("libx264", {}),
    "late.ts": ("libx264", {"muxer": {"output_ts_offset": "50000"}}),
    "disc.mpg": ("mpeg2video", {"rate": 25}),
    "interlaced.mp4": ("libx264", {"options": {"x264-params": "interlaced=1"}}),
    "interlaced.mpg": ("mpeg2video", {"rate": 25, "options": {"flags": "+ildct+ilme"}}),
    "raw.h264": ("libx264", {"rate": 25}),
    "fast.h264": ("libx264", {"rate": 60}),
    "raw.hevc": ("libx265", {"rate": 30, "options": {"x265-params": "log-level=none"}}),
    "raw.m2v": ("mpeg2video", {"container": "mpeg2video", "rate": 30}),
    "raw.mjpeg": ("mjpeg", {"container": "mjpeg", "pixel_format": "yuvj420p", "rate": 25}),
    "raw.m4v": ("mpeg4", {"container": "m4v"}),
    "moving.gif": ("gif", {"pixel_format": "rgb8"}),
    "raw.y4m": ("rawvideo", {"container": "yuv4mpegpipe"}),
    "grey.mp4": ("libx264", {"pixel_format": "gray"}),
    "ten_bit.mp4": ("libx264", {"pixel_format": "yuv420p10le"}),
    "full_chroma.mp4": ("libx264", {"pixel_format": "yuv444p"}),
    "alpha.mov": ("png", {"pixel_format": "rgba"}),
    "rgb.mov": ("png", {"pixel_format": "rgb24"}),
    "odd.webm": ("libvpx-vp9", {"width": 97, "height": 63}),
    "one.mp4": ("libx264", {"frames": 1}),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_comes_in_order_at_its_time(tmp_path: Path, name: str) -> None:
    codec, settings_ = KINDS[name]
    path = make(tmp_path / name, codec, **settings_)  # type: ignore[arg-type]
    numbers, times, report = read(path)
    count, rate = settings_.get("frames", 30), settings_.get("rate", 10)
    assert numbers == list(range(count))  # type: ignore[call-overload]
    assert times == pytest.approx([n / rate for n in numbers], abs=6e-4)  # Matroska: whole ms
    assert report.frames == count
    assert not report.partial


def test_frames_at_uneven_times_keep_them(tmp_path: Path) -> None:
    given_times = [0, 0.1, 0.15, 0.5, 0.55, 2.0, 2.02, 3.0]
    path = make(tmp_path / "a.mp4", times=given_times, frames=8)
    _, times, report = read(path)
    assert times == pytest.approx(given_times, abs=1e-4)
    assert not report.partial


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.h264", "libx264", {}),
        ("a.hevc", "libx265", {"x265-params": "log-level=none"}),
        ("a.m2v", "mpeg2video", {}),
    ],
)
def test_an_elementary_stream_gives_its_own_rate(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    container = "mpeg2video" if name == "a.m2v" else None
    path = make(tmp_path / name, codec, rate=30, options=options, container=container)
    assert probe(path).rate == 30.0  # not FFmpeg's default of 25


def test_frames_cut_by_an_edit_list_are_neither_shown_nor_missed(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4")
    with av.open(str(source)) as container:
        tick = container.streams.video[0].time_base
    cut = remux(source, tmp_path / "cut.mp4", shift=-round(Fraction(13, 10) / tick))
    numbers, times, report = read(cut)
    assert numbers == list(range(13, 30))
    assert times == pytest.approx([n / 10 for n in range(17)], abs=1e-6)
    assert (report.expected, report.partial) == (17, False)


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_frames_are_upright(tmp_path: Path, degrees: int, flips: tuple[bool, bool]) -> None:
    path = make(tmp_path / "a.mp4", frames=1, rotation=(degrees, *flips))
    plain = make(tmp_path / "plain.mp4", frames=1)
    with open_video(path) as video, open_video(plain) as stored:
        seen, expected = next(iter(video)), np.rot90(next(iter(stored)).rgb(), degrees // 90)
        if flips[0]:
            expected = expected[:, ::-1]
        if flips[1]:
            expected = expected[::-1]
        assert seen.size == expected.shape[:2] == (video.info.height, video.info.width)
        np.testing.assert_array_equal(seen.rgb(), expected)
        assert video.info.mirrored == any(flips)
        assert any(flips) or video.info.rotation == degrees


def test_resized_frames_are_upright_too(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", frames=1, rotation=(90,))
    with open_video(path) as video:
        frame = next(iter(video))
        small = frame.rgb(48, 32).astype(int)
        assert small.shape == (48, 32, 3)
        # The red corner, top left in the stored frame, is rotated to the bottom left.
        assert (small[-6:-2, 2:6, 0] > small[-6:-2, 2:6, 1] + 100).all()
        assert (abs(small[:24, :, 0] - small[:24, :, 1]) < 30).all()


def test_non_square_pixels_give_the_displayed_size(tmp_path: Path) -> None:
    info = probe(make(tmp_path / "a.mp4", frames=2, aspect=Fraction(4, 3)))
    assert (info.width, info.height) == (128, 64)
    with open_video(info.path) as video:
        assert next(iter(video)).rgb().shape == (64, 128, 3)


def test_displayed_size_by_hand() -> None:
    assert displayed(720, 576, 16 / 15, False) == (576, 768)
    assert displayed(720, 576, 16 / 15, True) == (768, 576)
    assert displayed(720, 576, 1000.0, False) == (576, 720)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [Colorspace.ITU709, Colorspace.ITU601])
@pytest.mark.parametrize("size", [None, 32])
def test_colours_survive_matrix_and_range(
    tmp_path: Path, matrix: Colorspace, full: bool, size: int | None
) -> None:
    colours = np.array([(255, 0, 0), (0, 200, 0), (30, 60, 220), (128, 128, 128)], np.uint8)
    image = colours.reshape(2, 2, 3).repeat(32, 0).repeat(32, 1)
    path, span = tmp_path / "a.mp4", ColorRange.JPEG if full else ColorRange.MPEG
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace = {Colorspace.ITU709: 1, Colorspace.ITU601: 6}[matrix]
        stream.codec_context.color_range = span
        frame = VideoReformatter().reformat(
            av.VideoFrame.from_ndarray(image, "rgb24"),
            format="yuv420p",
            dst_colorspace=matrix,
            dst_color_range=span,
        )
        frame.pts = 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with open_video(path) as video:
        seen = next(iter(video)).rgb(size, size)
    side = seen.shape[0] // 4
    centres = seen[side :: 2 * side, side :: 2 * side].reshape(4, 3)
    np.testing.assert_allclose(centres.astype(int), colours.astype(int), atol=6)


def test_shrinking_averages() -> None:
    from stadkit.video.upright import to_rgb

    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    frame = av.VideoFrame.from_ndarray(stripes, "rgb24").reformat(format="yuv444p")
    small = to_rgb(frame, (False, False, False), VideoReformatter(), 8, 8)
    np.testing.assert_allclose(small.astype(int), 100, atol=8)


def test_enlarging_is_smooth() -> None:
    from stadkit.video.upright import to_rgb

    step = np.zeros((8, 8, 3), np.uint8)
    step[:, 4:] = 200
    frame = av.VideoFrame.from_ndarray(step, "rgb24").reformat(format="yuv444p")
    large = to_rgb(frame, (False, False, False), VideoReformatter(), 32, 32)[8, :, 0].astype(int)
    assert np.diff(large).min() >= 0
    assert np.diff(large).max() < 60


def test_pixels_are_copies(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mov", "png", frames=1, pixel_format="rgb24")
    with open_video(path) as video:
        frame = next(iter(video))
        first = frame.rgb()
        first[:] = 0
        np.testing.assert_array_equal(frame.rgb(), picture(0))


def alive() -> int:
    return sum(type(o) is av.VideoFrame for o in gc.get_objects())


def test_frames_are_freed_while_reading(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", frames=60)
    gc.collect()
    gc.disable()  # a frame in a reference cycle would only be freed by the garbage collector
    try:
        before = alive()
        with open_video(path) as video:
            for _ in video:
                pass
            assert alive() - before <= 8
    finally:
        gc.enable()


def test_a_single_pixel_is_a_video(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mov", "png", frames=2, pixel_format="rgb24", width=1, height=1)
    with open_video(path) as video:
        assert [frame.rgb().shape for frame in video] == [(1, 1, 3)] * 2


@pytest.mark.parametrize(
    "name",
    [
        "sp ace.mp4",
        "qu'o\"te.mp4",
        "ünï走.mp4",
        "new\nline.mp4",
        "-dash.mp4",
        "a:b.mp4",
        "concat:a.mp4",
    ],
)
def test_any_name_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    make(tmp_path / "plain.mp4", frames=2).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)).path.name == name
    assert probe(tmp_path / name).expected == 2


def test_probe(tmp_path: Path) -> None:
    info = probe(make(tmp_path / "a.mp4", sound=1.0))
    assert (info.width, info.height, info.rotation, info.mirrored) == (96, 64, 0, False)
    assert (info.rate, info.duration, info.expected, info.start) == (10.0, 3.0, 30, 0.0)
    assert (info.container, info.codec, info.pixel_format) == ("mov", "h264", "yuv420p")


def test_stopping_early_is_not_partial(tmp_path: Path) -> None:
    with open_video(make(tmp_path / "a.mp4")) as video:
        for frame in video:
            if frame.time > 0.45:
                break
        assert (video.report.frames, video.report.partial) == (6, False)


def test_a_video_is_read_once(tmp_path: Path) -> None:
    with open_video(make(tmp_path / "a.mp4")) as video:
        assert len(list(video)) == 30
        assert list(video) == []


def test_an_unknown_reader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pyav, decord"):
        open_video(make(tmp_path / "a.mp4", frames=1), reader="opencv")


@pytest.mark.parametrize(
    ("counts", "partial", "reason"),
    [
        ((60, 60, 0, 0), False, ""),
        ((58, 60, 0, 0), False, ""),  # headers are often off by one or two
        ((57, 60, 0, 0), True, "57 of about 60 frames"),
        ((991, 1000, 0, 0), False, ""),
        ((60, None, 1, 0), True, "1 damaged packet"),
        ((59, 60, 2, 1), True, "59 of about 60 frames; 2 damaged packets; 1 damaged frame"),
        ((70, 60, 0, 0), False, ""),
    ],
)
def test_when_a_reading_is_partial(
    counts: tuple[int, int | None, int, int], partial: bool, reason: str
) -> None:
    report = judge(*counts)
    assert (report.partial, report.reason) == (partial, reason)


@settings(max_examples=15, deadline=None)
@given(gaps=st.lists(st.integers(1, 200_000), min_size=1, max_size=20))
def test_any_frame_times_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int]
) -> None:
    times = (np.cumsum([0, *gaps]) / 90_000).tolist()
    path = make(tmp_path_factory.mktemp("v") / "a.mp4", times=times, frames=len(times))
    assert read(path)[1] == pytest.approx(times, abs=2e-5)
