"""Files that are not videos: a specific one-line error each, and none hangs."""

from __future__ import annotations

import os
import random
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from helpers.made_videos import hum, make

from stadkit.errors import VideoError
from stadkit.video.check import check_file, has_moov, recognise, shown
from stadkit.video.decode import open_video


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Fail a test whose reader blocks on a pipe instead of hanging the run."""
    signal.alarm(30)
    yield
    signal.alarm(0)


def refused(path: Path) -> str:
    """The error message from opening a file: one line that names it."""
    with pytest.raises(VideoError) as caught:
        open_video(path)
    message = str(caught.value)
    assert message.startswith(shown(path))
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello\n", "a text file"),
        ("grüße\n".encode() * 900, "a text file"),
        ("text".encode("utf-16"), "a text file"),
        (b"\n <!DOCTYPE html><html>not found", "a web page"),
        (b"<HTML><body>", "a web page"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\nother.ts\n", "a playlist"),
        (b"ffconcat version 1.0\nfile 'other.mp4'\n", "a playlist"),
        (b"\xef\xbb\xbfffconcat version 1.0\n", "a playlist"),
        (b'<?xml version="1.0"?><MPD></MPD>', "a text file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "an image"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "an image"),
        (b"PK\x03\x04" + bytes(50), "a zip archive"),
        (random.Random(0).randbytes(20_000), "is not readable as video"),
        (bytes(20_000), "is not readable as video"),
    ],
)
def test_non_videos_are_described(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    assert words in refused(path)


def test_a_jpeg_stream_is_distinguished_from_an_image(tmp_path: Path) -> None:
    path = make(tmp_path / "a.jpg", "mjpeg", frames=3, container="mjpeg", pixel_format="yuvj420p")
    data = path.read_bytes()
    with open_video(path) as video:
        assert len(list(video)) == 3
        assert not video.report.partial
    path.write_bytes(data[:-9])
    with open_video(path) as video:
        assert len(list(video)) > 1
        assert "the file is truncated" in video.report.reason
    one = data[: data.find(b"\xff\xd8\xff", 3)]
    # An image; one with trailing bytes; one from a phone, with a gain map as second image.
    mpf = b"\xff\xe2\x00\x06MPF\0"
    for picture in (one, one + b"rubbish", data[:2] + mpf + data[2:], data[:200]):
        path.write_bytes(picture)
        assert "is an image, not a video" in refused(path)


def test_a_missing_file_and_a_name_too_long(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "missing.mp4")
    assert "cannot be opened" in refused(tmp_path / ("x" * 300))
    assert "cannot be opened" in refused(Path("nul\0byte.mp4"))


def test_special_files_are_refused_without_blocking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    listener = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(tmp_path)  # a socket's path may only be about 100 characters long
    listener.bind("s.mp4")
    listener.close()
    assert "named pipe" in refused(tmp_path / "pipe.mp4")
    assert "socket" in refused(tmp_path / "s.mp4")
    assert "folder" in refused(tmp_path)
    assert "device" in refused(Path("/dev/zero"))


def test_missing_access_rights_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"1234")

    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", deny)
    with pytest.raises(VideoError, match="permission denied"):
        check_file(path)


def test_audio_only_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "voice.m4a"
    with av.open(str(path), "w") as output:
        output.mux(hum(output.add_stream("aac", rate=8000), 1.0))
    assert "audio only" in refused(path)


def test_an_mp4_without_an_index_is_reported(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4")
    data = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    for share in (0.05, 0.4, 0.95):  # the index is at the end
        cut.write_bytes(data[: int(len(data) * share)])
        assert "moov" in refused(cut)
        assert not has_moov(cut)
    assert has_moov(whole)


def test_an_index_without_frames_is_reported(tmp_path: Path) -> None:
    data = make(tmp_path / "whole.mp4", muxer={"movflags": "+faststart"}).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: data.find(b"mdat") + 4])
    assert "none of its 30 frames" in refused(cut)


def test_an_unknown_codec_is_reported(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1").replace(b"avcC", b"zzzC"))
    assert "codec is unknown" in refused(path)


def test_a_disguised_playlist_is_not_followed(tmp_path: Path) -> None:
    make(tmp_path / "secret.mp4")
    # FFmpeg also detects this as a playlist, by the line after the comment.
    path = tmp_path / "list.mp4"
    path.write_bytes(b"\x00\x01# x\nffconcat version 1.0\nfile 'secret.mp4'\n")
    refused(path)
    assert "no such file" in refused(Path(f"concat:{tmp_path}/secret.mp4"))


def test_ffmpeg_is_restricted_to_video_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "secret.mp4")
    path = tmp_path / "list.mp4"
    path.write_text("ffconcat version 1.0\nfile 'secret.mp4'\n")
    monkeypatch.setattr("stadkit.video.check.recognise", lambda head: None)
    assert "is not readable as video" in refused(path)


def test_text_is_recognized_by_its_first_bytes(tmp_path: Path) -> None:
    assert recognise(b"YUV4MPEG2 W96 H64 F10:1\nFRAME\n" + b"ABC" * 1000) is None
    assert recognise(make(tmp_path / "a.ts").read_bytes()[:4096]) is None
    # A character truncated at the end of the head is still text.
    assert recognise(("a" * 4093 + "走").encode()[:4095]) is not None


def test_a_message_stays_one_line() -> None:
    assert shown(Path("a b.mp4")) == "a b.mp4"
    assert shown(Path("a\nb.mp4")) == r"'a\nb.mp4'"
