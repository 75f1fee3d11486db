"""Faults of videos, each as a user meets it: through `stadkit detect`.

The numbers are those of the list of faults that this toolkit must survive. Faults of streams (9)
are in `tests/cli/test_live_command.py`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.made_faults import BOX, film, overlap
from helpers.made_videos import hum, make, remux

from stadkit.errors import VideoError
from stadkit.video.decode import open_video

MakeVideo = Callable[..., Path]
Stadkit = Callable[..., Any]
Entries = Callable[[str], dict[str, Any]]
Keyframes = Callable[[str], list[dict[str, Any]]]

NO_VIDEO = {
    "gone": "no such file",
    "empty": "is empty (0 bytes)",
    "text": "is a text file",
    "folder": "is a folder",
    "pipe": "is a named pipe",
    "socket": "is a socket",
}


def no_video(kind: str, path: Path) -> Path:
    """Something that is no video, at a path relative to the working folder."""
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("hello\n")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.close()
    return path


@pytest.mark.parametrize("kind", NO_VIDEO)
def test_fault_1_what_is_no_video_alone_is_2(stadkit: Stadkit, kind: str) -> None:
    result = stadkit(no_video(kind, Path("x.mp4")), "-o", "out")
    assert result.exit_code == 2
    assert result.stderr.count("stadkit: error:") == 1
    if kind == "folder":
        assert "no video in this folder" in result.stderr
    else:
        assert f"stadkit: error: x.mp4: {NO_VIDEO[kind]}" in result.stderr
    assert not Path("out").exists()


def test_fault_1_what_is_no_video_among_others_is_1(
    stadkit: Stadkit, make_video: MakeVideo, entries: Entries
) -> None:
    kinds = [kind for kind in NO_VIDEO if kind != "folder"]
    bad = [no_video(kind, Path(f"{kind}.mp4")) for kind in kinds]
    result = stadkit(*bad, make_video("good.mp4", seconds=1), "-o", "out")
    assert result.exit_code == 1
    for kind in kinds:
        assert f"{kind}.mp4: {NO_VIDEO[kind]}" in result.stderr
    assert entries("out")["good"]["status"] == "ok"
    assert [path.name for path in Path("out").glob("*.csv")] == ["good.csv"]


def cut(path: Path, share: float = 0.7) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def test_fault_2_a_cut_file_with_its_index_first_is_partial(
    stadkit: Stadkit, tmp_path: Path, entries: Entries
) -> None:
    cut(make(tmp_path / "a.mp4", frames=60, muxer={"movflags": "+faststart"}))
    result = stadkit("a.mp4", "-o", "out")
    assert result.exit_code == 1
    entry = entries("out")["a"]
    assert (entry["status"], entry["expected"]) == ("partial", 60)
    assert 5 < entry["frames"] < 60
    assert entry["reason"].startswith(f"{entry['frames']} of about 60 frames")
    assert f"PARTIAL: {entry['frames']} of about 60 frames" in result.stderr
    assert Path("out/a.csv").exists()


def test_fault_2_a_cut_file_with_its_index_last_is_named(stadkit: Stadkit, tmp_path: Path) -> None:
    cut(make(tmp_path / "a.mp4", frames=60))
    result = stadkit("a.mp4", "-o", "out")
    assert result.exit_code == 2
    assert "a.mp4: has no complete moov atom (its index)" in result.stderr
    assert not list(Path("out").glob("a.*"))


def test_fault_2_strict_takes_no_part_for_the_whole(
    stadkit: Stadkit, tmp_path: Path, entries: Entries
) -> None:
    cut(make(tmp_path / "a.mkv", frames=60))
    make(tmp_path / "b.mp4")
    result = stadkit("a.mkv", "b.mp4", "-o", "out", "--strict")
    assert result.exit_code == 1
    assert "a.mkv: read only in part" in result.stderr
    assert {name: entry["status"] for name, entry in entries("out").items()} == {
        "a": "failed",
        "b": "ok",
    }
    assert [path.name for path in Path("out").glob("*.csv")] == ["b.csv"]
    assert stadkit("a.mkv", "-o", "alone", "--strict").exit_code == 1


def test_fault_4_sound_alone_and_no_frame_are_named(stadkit: Stadkit, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "voice.m4a"), "w") as output:
        output.mux(hum(output.add_stream("aac", rate=8000), 1.0))
    data = make(tmp_path / "none.mp4", muxer={"movflags": "+faststart"}).read_bytes()
    (tmp_path / "none.mp4").write_bytes(data[: data.find(b"mdat") + 4])
    result = stadkit("voice.m4a", "none.mp4", "-o", "out")
    assert result.exit_code == 1
    assert "voice.m4a: holds audio only" in result.stderr
    assert "none.mp4: contains none of its 30 frames" in result.stderr


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_fault_4_a_video_shorter_than_a_clip_is_padded_with_its_edges(
    finder: Stadkit, tmp_path: Path, entries: Entries, keyframes: Keyframes, frames: int
) -> None:
    film(tmp_path / "a.mp4", frames=frames, rate=25)
    result = finder("a.mp4", "-o", "out", "--min-action", "0")
    assert result.exit_code == 0, result.stderr
    assert entries("out")["a"]["frames"] == frames
    (line,) = keyframes("out/a.jsonl")
    assert "NaN" not in Path("out/a.jsonl").read_text()
    assert overlap(line["people"][0]["box"], BOX) > 0.99


def uneven(path: Path) -> Path:
    return make(path, times=[0, 0.1, 0.15, 0.5, 0.55, 2.0, 2.02, 3.0], frames=8)


def ntsc(path: Path) -> Path:
    return make(path, times=[i * 1001 / 30000 for i in range(60)], frames=60)


def edited(path: Path) -> Path:
    source = make(path.with_name("source.mp4"))
    with av.open(str(source)) as container:
        tick = container.streams.video[0].time_base
    return remux(source, path, shift=-round(Fraction(13, 10) / tick))


def late(path: Path) -> Path:
    return make(path, muxer={"output_ts_offset": "50000"})


def negative(path: Path) -> Path:
    """Stamps before 0, which this container gives as no stamps at all."""
    source = make(path.with_name("source.mkv"), "mjpeg", pixel_format="yuvj420p")
    return remux(source, path, shift=-500, muxer={"avoid_negative_ts": "disabled"})


def unstamped(path: Path) -> Path:
    return make(path, "mpeg4", b_frames=2)


TIMES = {
    "uneven.mp4": uneven,
    "ntsc.mp4": ntsc,
    "edited.mp4": edited,
    "late.ts": late,
    "negative.mkv": negative,
    "unstamped.avi": unstamped,
}


def shown_times(path: Path) -> list[float]:
    """Seconds of the frames shown, from the packets' own stamps alone."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
        if any(p.pts is None and p.dts is None for p in packets):
            return [i / float(stream.average_rate) for i in range(len(packets))]
        # AVI stamps decoding only: the i-th frame shown has the i-th.
        avi = container.format.name == "avi"
        stamps = sorted(p.dts if avi else p.pts for p in packets)
        return [float((stamp - stamps[0]) * stream.time_base) for stamp in stamps]


@pytest.mark.parametrize("name", TIMES)
def test_fault_5_seconds_are_those_of_the_stamps(tmp_path: Path, name: str) -> None:
    path = TIMES[name](tmp_path / name)
    with open_video(path) as video:
        times = [frame.time for frame in video]
        assert not video.report.partial
    expected = shown_times(path)
    assert times == pytest.approx(expected, abs=1e-3)
    pytest.importorskip("decord")
    if name in ("uneven.mp4", "ntsc.mp4"):
        with open_video(path, "decord") as video:
            assert [frame.time for frame in video] == pytest.approx(expected, abs=1e-3)
    else:
        with pytest.raises(VideoError, match="use the pyav reader"):
            open_video(path, "decord")


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_fault_6_boxes_are_of_the_upright_picture(
    finder: Stadkit, tmp_path: Path, keyframes: Keyframes, degrees: int
) -> None:
    film(tmp_path / "a.mp4", rotation=degrees)
    film(tmp_path / "plain.mp4")
    assert finder("a.mp4", "plain.mp4", "-o", "out").exit_code == 0
    turned, plain = (
        keyframes(f"out/{name}.jsonl")[0]["people"][0]["box"] for name in ("a", "plain")
    )
    x1, y1, x2, y2 = plain
    # The stored picture is turned so far counter-clockwise to stand upright.
    upright = {
        90: (y1, 1 - x2, y2, 1 - x1),
        180: (1 - x2, 1 - y2, 1 - x1, 1 - y1),
        270: (1 - y2, x1, 1 - y1, x2),
    }
    assert overlap(turned, upright[degrees]) > 0.99


SHAPES: dict[str, dict[str, Any]] = {
    "wide_pixels.mp4": {"aspect": Fraction(4, 3)},
    "odd.webm": {"codec": "libvpx-vp9", "width": 127, "height": 95},
    "ten_bit.mp4": {"pixel_format": "yuv420p10le"},
    "full_chroma.mp4": {"pixel_format": "yuv444p"},
    "grey.mp4": {"pixel_format": "gray"},
    "alpha.mov": {"codec": "png", "pixel_format": "rgba"},
}


@pytest.mark.parametrize("name", SHAPES)
def test_fault_6_any_pixels_give_the_same_box(
    finder: Stadkit, tmp_path: Path, keyframes: Keyframes, name: str
) -> None:
    film(tmp_path / name, **SHAPES[name])
    result = finder(name, "-o", "out")
    assert result.exit_code == 0, result.stderr
    (line,) = keyframes(f"out/{Path(name).stem}.jsonl")
    # The clip's short side is 48 pixels: where sides do not divide, an edge is half a pixel off.
    whole = not {"width", "aspect"} & SHAPES[name].keys()
    assert overlap(line["people"][0]["box"], BOX) > (0.99 if whole else 0.94)


def test_fault_6_a_single_pixel(finder: Stadkit, tmp_path: Path, keyframes: Keyframes) -> None:
    make(tmp_path / "dot.mov", "png", width=1, height=1, pixel_format="rgb24")
    assert finder("dot.mov", "-o", "out").exit_code == 0
    assert keyframes("out/dot.jsonl")[0]["people"][0]["box"] == [0.0, 0.0, 1.0, 1.0]


WATCH = """
import sys
from helpers.made_faults import Finder
from stadkit import zoo
from stadkit.memory import peak
from stadkit.detection import Detector, DetectOptions, detect_video

card = zoo.card("mestad-tiny")
detector = Detector(Finder(len(card.classes)), card, "cpu", "fp32")
for path in sys.argv[1:]:
    # A batch of 8 is 32 MB, of which an allocator may hold one more or less.
    found = detect_video(detector, path, DetectOptions(every=1.0, batch=1))
    print(len(found.keyframes), len(found.table), peak())
"""


def watch(*paths: Path) -> list[list[int]]:
    """[keyframes, people, peak bytes] after each video, looked at by one process of its own."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


def repeated(source: Path, path: Path, times: int) -> Path:
    """The one packet of a video again and again, a tenth of a second apart."""
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        stream = given.streams.video[0]
        copy = output.add_stream_from_template(stream)
        data = next(bytes(packet) for packet in given.demux(stream))
        for i in range(times):
            packet = av.Packet(data)
            packet.pts = packet.dts = i
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 10), copy, True
            output.mux(packet)
    return path


@pytest.mark.slow
def test_fault_6_8k_needs_bounded_memory(tmp_path: Path) -> None:
    small = film(tmp_path / "small.mp4", frames=2)
    frame = film(
        tmp_path / "frame.mp4",
        width=7680,
        height=4320,
        frames=1,
        options={"preset": "ultrafast"},
    )
    before, after = watch(small, repeated(frame, tmp_path / "8k.mp4", 11))
    assert after[:2] == [2, 2]
    # A frame of 8K is 50 MB in the decoder, which keeps a few for each of 4 threads.
    assert after[2] - before[2] < 0.8e9


@pytest.mark.slow
def test_fault_10_three_hours_need_little_more_than_three_minutes(make_video: MakeVideo) -> None:
    short = make_video("short.mp4", seconds=180, rate=2)
    long = make_video("long.mp4", seconds=3 * 3600, rate=2)
    few, many = watch(short, long)
    assert (few[0], many[0]) == (180, 3 * 3600)
    # Kept frames would be 200 MB; an allocator holds some 30 to 60 MB more or less.
    assert many[2] - few[2] < 80e6


def test_fault_7_another_size_in_mid_stream_goes_on(
    finder: Stadkit, tmp_path: Path, keyframes: Keyframes
) -> None:
    first = film(tmp_path / "1.h264", frames=50, rate=25)
    second = film(tmp_path / "2.h264", frames=50, rate=25, width=64, height=48)
    (tmp_path / "both.h264").write_bytes(first.read_bytes() + second.read_bytes())
    assert finder("both.h264", "-o", "out").exit_code == 0
    lines = keyframes("out/both.jsonl")
    assert [line["time"] for line in lines] == [0.0, 1.0, 2.0, 3.0]
    for line in lines:
        assert overlap(line["people"][0]["box"], BOX) > 0.94


NAMES = (
    "two words.mp4",
    "grüße 走路 🏃.mp4",
    'it\'s "quoted".mp4',
    "-5KQ66BBWC4.mp4",
    "new\nline.mp4",
    "concat:a|b.mp4",
    "x" * 251 + ".mp4",  # 255 bytes
    "%d [1] {a} $HOME.mp4",
)


def test_fault_8_any_name_is_looked_at_and_named_in_the_results(
    stadkit: Stadkit, make_video: MakeVideo, entries: Entries
) -> None:
    source = make_video("source.mp4", seconds=0.5).read_bytes()
    for name in NAMES:
        Path(name).write_bytes(source)
    result = stadkit("-o", "out", "--", *NAMES)
    assert result.exit_code == 0, result.stderr
    assert "'new\\nline.mp4'" in result.stderr  # a new line in a name makes none
    held = entries("out")
    assert {entry["input"] for entry in held.values()} == set(NAMES)
    for name in held:
        assert Path("out", f"{name}.csv").is_file()
        assert Path("out", f"{name}.jsonl").stat().st_size > 0


def test_fault_8_the_same_stem_in_two_folders_is_two_results(
    stadkit: Stadkit, make_video: MakeVideo, entries: Entries
) -> None:
    make_video("one/x.mp4", seconds=1)
    make_video("two/x.mp4", seconds=2)
    assert stadkit("one", "two", "-o", "out").exit_code == 0
    assert {name: entry["keyframes"] for name, entry in entries("out").items()} == {
        "x": 1,
        "x-2": 2,
    }


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{url}'\n",
    "disguised": "\x00\x01# x\nffconcat version 1.0\nfile '{url}'\n",
    "dash": '<?xml version="1.0"?><MPD><BaseURL>{url}</BaseURL></MPD>',
    "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=control:{url}\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_fault_11_a_playlist_in_disguise_leads_nowhere(
    stadkit: Stadkit, tmp_path: Path, kind: str
) -> None:
    make(tmp_path / "secret.mp4")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/secret.mp4"
        for target in (url, "secret.mp4", str(tmp_path / "secret.mp4")):
            Path("list.mp4").write_text(PLAYLISTS[kind].format(url=target))
            result = stadkit("list.mp4", "-o", "out")
            assert result.exit_code == 2
            assert not list(Path("out").glob("list.*"))
        with pytest.raises(BlockingIOError):
            server.accept()  # nobody has called


def test_fault_11_a_name_is_never_a_protocol(stadkit: Stadkit, tmp_path: Path) -> None:
    make(tmp_path / "secret.mp4")
    for name in ("concat:secret.mp4", "file:secret.mp4", "subfile,,start,0,end,0,,:secret.mp4"):
        result = stadkit(name, "-o", "out")
        assert (result.exit_code, "no such file" in result.stderr) == (2, True)


def test_fault_3_flipped_bytes_are_told(stadkit: Stadkit, tmp_path: Path, entries: Entries) -> None:
    """One file here; thousands are in `test_mutations.py`."""
    path = make(tmp_path / "a.mp4", width=320, height=240, options={"g": "5", "crf": "1"})
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    middle = path.read_bytes().find(b"mdat") + len(data) // 2
    data[middle : middle + 40] ^= 0xA5
    path.write_bytes(data.tobytes())
    assert stadkit("a.mp4", "-o", "out").exit_code == 1
    assert entries("out")["a"]["status"] == "partial"


def test_glued_recordings_are_whole_and_say_where_no_picture_is(
    stadkit: Stadkit, tmp_path: Path, entries: Entries
) -> None:
    first = make(tmp_path / "1.ts", frames=29).read_bytes()
    later = make(tmp_path / "2.ts", frames=29, muxer={"output_ts_offset": "500"}).read_bytes()
    (tmp_path / "a.ts").write_bytes(first + later)
    result = stadkit("a.ts", "-o", "out", "--strict")
    assert result.exit_code == 0, result.stderr
    entry = entries("out")["a"]
    assert (entry["status"], entry["keyframes"]) == ("ok", 6)
    assert entry["note"] in result.stderr
    assert entry["note"].startswith("no frames from 2.8 s to ")
