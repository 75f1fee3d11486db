"""`stadkit detect` on streams that a test server interrupts and resumes."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.broadcasting import Answer, broadcast, stream
from typer.testing import CliRunner, Result

from stadkit.cli.app import app, main
from stadkit.detection import Detector
from stadkit.files.ava_csv import read_found
from stadkit.labels import read_labels
from stadkit.runs import live as module
from stadkit.video.live import LiveVideo, RetryPolicy

Stadkit = Callable[..., Result]
Adding = Callable[[int, Callable[[], None]], None]
QUICK = RetryPolicy(tries=3, first=0.05)


@pytest.fixture
def stadkit(fake_detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stadkit:
    """Run `stadkit detect` on a live source, with short timeouts."""
    monkeypatch.setattr("stadkit.detection.load", lambda *args: fake_detector)
    monkeypatch.setattr(module, "LiveVideo", partial(LiveVideo, policy=QUICK))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(app, ["detect", *map(str, arguments)])
        assert "Traceback" not in result.stderr
        return result

    return run


def entry(folder: str) -> dict[str, Any]:
    (held,) = json.loads(Path(folder, "manifest.json").read_text())["videos"].values()
    return dict(held)


def lines(folder: str) -> list[dict[str, Any]]:
    (path,) = Path(folder).glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_interrupted_stream_is_resumed(stadkit: Stadkit, tmp_path: Path) -> None:
    body = stream(tmp_path, 1.0)
    with broadcast([Answer(body), Answer(b"busy", 503), Answer(body)]) as server:
        result = stadkit(server.url, "-o", "out", "--every", "0.2", "--json")
    assert result.exit_code == 1
    assert "the connection ended; trying again in 0.05 s (1 of 2)" in result.stderr
    assert "is back after" in result.stderr
    assert "gave up after 3 tries" in result.stderr
    held = entry("out")
    assert held["status"] == "partial"
    assert (held["live"]["reconnects"], server.asked) == (1, 5)
    assert held["live"]["seconds"] > 1.9
    # All unskipped keyframes of both parts, and none of the pause between them.
    live = held["live"]
    assert held["keyframes"] + live["skipped keyframes"] + live["keyframes in pauses"] >= 10
    records = lines("out")
    assert len(records) == held["keyframes"]
    assert [line["time"] for line in records] == sorted({line["time"] for line in records})
    assert records[-1]["people"][0]["actions"][0]["name"] == "wave"
    name = "127.0.0.1-live"
    assert sorted(os.listdir("out")) == [
        *(f"{name}.csv", f"{name}.jsonl", "labels.txt", "manifest.json", "summary.json"),
    ]
    table = read_found(Path("out") / f"{name}.csv", read_labels("out/labels.txt"))
    assert table.time.tolist() == [line["time"] for line in records]
    assert json.loads(result.stdout)["exit_code"] == 1


def test_the_duration_ends_the_run(stadkit: Stadkit, tmp_path: Path) -> None:
    with broadcast([Answer(stream(tmp_path, 20.0))]) as server:
        result = stadkit(server.url, "-o", "out", "--every", "0.2", "--duration", "0.6")
    assert result.exit_code == 0, result.stderr
    held = entry("out")
    assert (held["status"], held["reason"]) == ("ok", "")
    assert held["keyframes"] + held["live"]["skipped keyframes"] == 3
    assert held["live"]["seconds"] < 10


def test_a_stream_of_known_length_is_processed_once(stadkit: Stadkit, tmp_path: Path) -> None:
    with broadcast([Answer(stream(tmp_path, 1.0), length=True)] * 2) as server:
        result = stadkit(server.url, "-o", "out", "--every", "0.5")
    assert result.exit_code == 0, result.stderr
    assert server.asked == 1
    assert entry("out")["keyframes"] == 2


def test_a_playlist_of_segments(stadkit: Stadkit, tmp_path: Path) -> None:
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\ns.ts\n#EXT-X-ENDLIST\n"
    kind = "application/vnd.apple.mpegurl"
    answers = [
        Answer(playlist.encode(), 200, kind, length=True),
        Answer(stream(tmp_path, 1.0), length=True),
    ]
    with broadcast(answers, "/live.m3u8") as server:
        result = stadkit(server.url, "-o", "out", "--every", "0.5")
    assert result.exit_code == 0, result.stderr
    assert entry("out")["keyframes"] == 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(b"<html>not here</html>", 404, "text/html"), "404 Not Found"),
        (
            Answer(b"<html>hello</html>" * 99, 200, "text/html", length=True),
            "is not a video stream",
        ),
        (Answer(b"", 200), "the connection ended"),
    ],
)
def test_fault_9_other_content_is_given_up(stadkit: Stadkit, answer: Answer, why: str) -> None:
    with broadcast([answer] * 9) as server:
        result = stadkit(server.url, "-o", "out")
    assert result.exit_code == 1
    assert server.asked == 3
    assert why in result.stderr
    assert result.stderr.count("stadkit: error:") == 1
    assert "gave up after 3 tries" in result.stderr
    assert (entry("out")["status"], entry("out")["outputs"]) == ("failed", {})
    assert not list(Path("out").glob("127*"))


def test_fault_11_a_stream_cannot_open_a_file(stadkit: Stadkit, tmp_path: Path) -> None:
    stream(tmp_path, 1.0)
    (mine,) = tmp_path.glob("*.ts")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nfile://{mine}\n#EXT-X-ENDLIST\n"
    answer = Answer(playlist.encode(), 200, "application/vnd.apple.mpegurl", length=True)
    with broadcast([answer] * 9, "/live.m3u8") as server:
        result = stadkit(server.url, "-o", "out")
    assert result.exit_code == 1
    assert "is not a video stream; gave up after 3 tries" in result.stderr


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_fault_9_no_server(stadkit: Stadkit, scheme: str) -> None:
    result = stadkit(f"{scheme}://me:secret@127.0.0.1:9/a", "-o", "out")
    assert result.exit_code == 1
    assert "Connection refused; gave up after 3 tries" in result.stderr
    written = "".join(path.read_text() for path in Path("out").iterdir())
    assert "secret" not in result.stderr + written
    assert "me:***@127.0.0.1:9" in result.stderr


def test_ctrl_c_keeps_the_results(
    stadkit: Stadkit, tmp_path: Path, fake_detector: Detector
) -> None:
    looking, calls = fake_detector.model.forward, [0]

    def forward(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            kept = list(Path("out").glob("*.jsonl.live"))
            assert [bool(path.read_text()) for path in kept] == [True]  # written during the run
            signal.raise_signal(signal.SIGINT)
        return looking(*args)

    fake_detector.model.forward = forward
    with broadcast([Answer(stream(tmp_path, 30.0))]) as server:
        result = stadkit(server.url, "-o", "out", "--every", "0.2", "--batch", "1")
    assert result.exit_code == 130
    assert (entry("out")["status"], entry("out")["reason"]) == ("ok", "interrupted")
    assert [line["time"] for line in lines("out")][:1] == [0.0]
    assert len(lines("out")) == 2
    assert not list(Path("out").glob("*.live"))


def test_a_slow_model_skips_keyframes(
    stadkit: Stadkit, tmp_path: Path, fake_detector: Detector
) -> None:
    import time

    looking = fake_detector.model.forward

    def forward(*args: Any) -> Any:
        time.sleep(0.4)
        return looking(*args)

    fake_detector.model.forward = forward
    with broadcast([Answer(stream(tmp_path, 2.0), length=True)]) as server:
        result = stadkit(server.url, "-o", "out", "--every", "0.05", "--batch", "1")
    assert result.exit_code == 0, result.stderr
    held = entry("out")
    assert held["live"]["skipped keyframes"] > 20
    assert held["keyframes"] + held["live"]["skipped keyframes"] == 40
    assert lines("out")[-1]["time"] == pytest.approx(1.95)  # the newest is kept
    assert "skipped to keep up" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save-video"], "--save-video: not with a live source"),
        (["--link"], "--link: not with a live source"),
        (["--every", "frame"], "--every frame: not with a live source"),
        (["a.mp4"], "must be the only input"),
        (["--offline"], "offline mode is on"),
    ],
)
def test_options_not_supported_live(
    stadkit: Stadkit, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    result = stadkit("http://127.0.0.1:9/a", "-o", "out", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("out").exists()


def test_tubelet_models_need_a_file(
    stadkit: Stadkit, fake_detector: Detector, tmp_path: Path
) -> None:
    from dataclasses import replace

    fake_detector.card = replace(fake_detector.card, tubelet=True)
    with broadcast([Answer(stream(tmp_path, 1.0))]) as server:
        result = stadkit(server.url, "-o", "out")
    assert "joins tubelets" in result.stderr
    assert result.exit_code == 2


def test_existing_results_are_kept(stadkit: Stadkit, tmp_path: Path) -> None:
    body = stream(tmp_path, 0.5)
    with broadcast([Answer(body, length=True)] * 3) as server:
        assert stadkit(server.url, "-o", "out").exit_code == 0
        again = stadkit(server.url, "-o", "out")
        assert (again.exit_code, "exists already" in again.stderr) == (2, True)
        assert stadkit(server.url, "-o", "out", "--overwrite").exit_code == 0


def test_a_missing_camera(stadkit: Stadkit, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def __init__(self, number: int) -> None: ...

        def read(self) -> tuple[bool, Any]:
            return False, None

        def release(self) -> None: ...

    monkeypatch.setattr("cv2.VideoCapture", Nothing)
    result = stadkit("7", "-o", "out")
    assert result.exit_code == 1
    assert "camera 7: is not connected, or in use by another program" in result.stderr


def test_a_file_called_0_comes_first(stadkit: Stadkit, make_video: Callable[..., Path]) -> None:
    make_video("0.mp4", seconds=1).rename("0")
    assert stadkit("0", "-o", "out").exit_code == 0
    assert os.path.exists("out/0.csv")


@pytest.fixture
def adding(monkeypatch: pytest.MonkeyPatch) -> Adding:
    """adding(n, act): call `act` once the files hold n keyframes."""

    def install(number: int, act: Callable[[], None]) -> None:
        add = module.LiveResults.add

        def acting(self: Any, *args: Any) -> None:
            add(self, *args)
            if self.keyframes == number:
                act()

        monkeypatch.setattr(module.LiveResults, "add", acting)

    return install


def fail(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_fault_28_a_late_full_disk_keeps_the_results(
    stadkit: Stadkit, tmp_path: Path, adding: Adding
) -> None:
    adding(2, fail(OSError(errno.ENOSPC, "No space left on device")))
    with broadcast([Answer(stream(tmp_path, 1.0), length=True)]) as server:
        result = stadkit(server.url, "-o", "out", "--every", "0.2", "--batch", "1")
    assert result.exit_code == 1
    assert "2 keyframes" in result.stderr
    assert "PARTIAL: No space left on device" in result.stderr
    held = entry("out")
    assert (held["status"], held["reason"]) == ("partial", "No space left on device")
    assert sorted(held["outputs"]) == ["127.0.0.1-live.csv", "127.0.0.1-live.jsonl"]
    assert (len(lines("out")), held["keyframes"]) == (2, 2)


def test_a_late_bug_keeps_the_results(stadkit: Stadkit, tmp_path: Path, adding: Adding) -> None:
    adding(2, fail(RuntimeError("out of memory")))
    with broadcast([Answer(stream(tmp_path, 1.0), length=True)]) as server:
        result = stadkit(server.url, "-o", "out", "--every", "0.2", "--batch", "1")
    assert isinstance(result.exception, RuntimeError)  # printed with its traceback
    held = entry("out")
    assert (held["status"], held["reason"]) == ("partial", "out of memory")
    assert len(held["outputs"]) == len(lines("out")) == 2


def test_an_incomplete_keyframe_is_removed(
    stadkit: Stadkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adding: Adding
) -> None:
    def full() -> None:
        written = module.json.dumps

        def dumps(value: Any, **how: Any) -> str:
            text = written(value, **how)
            # A lone surrogate cannot be written: the CSV row exists, the JSON line does not.
            return "\ud800" if "people" in value and "time" in value else text

        monkeypatch.setattr(module.json, "dumps", dumps)

    adding(2, full)
    with broadcast([Answer(stream(tmp_path, 1.0), length=True)]) as server:
        stadkit(server.url, "-o", "out", "--every", "0.2", "--batch", "1")
    assert len(lines("out")) == 2
    table = read_found(Path("out/127.0.0.1-live.csv"), read_labels("out/labels.txt"))
    assert table.time.tolist() == [line["time"] for line in lines("out")]


def test_files_of_a_killed_run_are_kept(stadkit: Stadkit, tmp_path: Path) -> None:
    Path("out").mkdir()
    for number, text in (("", "a"), ("-2", "b")):
        for kind in ("csv", "jsonl"):
            Path("out", f"127.0.0.1-live.{kind}.live{number}").write_text(text)
    with broadcast([Answer(stream(tmp_path, 0.5), length=True)]) as server:
        result = stadkit(server.url, "-o", "out")
    assert result.exit_code == 0, result.stderr
    for kind in ("csv", "jsonl"):
        assert Path("out", f"127.0.0.1-live.{kind}.live-3").read_text() == "a"
        assert Path("out", f"127.0.0.1-live.{kind}.live-2").read_text() == "b"
    assert "127.0.0.1-live.csv.live-3: kept from a killed run" in result.stderr
    assert len(list(Path("out").glob("*.live*"))) == 4


def test_keyframes_in_a_pause_are_counted_and_left_out(
    stadkit: Stadkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = partial(LiveVideo, policy=RetryPolicy(tries=2, first=1.5))
    monkeypatch.setattr(module, "LiveVideo", patient)
    body = stream(tmp_path, 1.0)
    with broadcast([Answer(body), Answer(body, length=True)]) as server:
        result = stadkit(server.url, "-o", "out", "--every", "0.1", "--batch", "16")
    assert result.exit_code == 0, result.stderr
    times = [line["time"] for line in lines("out")]
    assert not [time for time in times if 1.0 < time < 2.3]
    assert max(times) > 2.3
    paused = entry("out")["live"]["keyframes in pauses"]
    assert paused >= 13
    assert f"{paused} keyframes in pauses" in result.stderr


def test_the_duration_ends_by_the_clock_without_frames(
    stadkit: Stadkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = partial(LiveVideo, policy=RetryPolicy(tries=2, first=60.0, max_wait=60.0))
    monkeypatch.setattr(module, "LiveVideo", patient)
    monkeypatch.setattr("stadkit.detection.live.GRACE_SECONDS", -0.5)
    with broadcast([Answer(stream(tmp_path, 1.0))]) as server:
        result = stadkit(server.url, "-o", "out", "--every", "0.2", "--duration", "2")
    assert result.exit_code == 1, result.stderr
    assert "stopped at the time limit" in entry("out")["reason"]
    assert len(lines("out")) >= 1


def test_sigterm_keeps_the_results(
    stadkit: Stadkit, tmp_path: Path, adding: Adding, monkeypatch: pytest.MonkeyPatch
) -> None:
    adding(1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    try:
        with broadcast([Answer(stream(tmp_path, 30.0))]) as server:
            monkeypatch.setattr(sys, "argv", ["stadkit", "detect", server.url, "-o", "out"])
            with pytest.raises(SystemExit) as end:
                main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert end.value.code == 143
    assert len(lines("out")) >= 1
    assert entry("out")["reason"] == "interrupted"
