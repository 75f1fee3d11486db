"""Faults of the process and the machine around `stadkit detect`, by the numbers of their list.

`kill -9` and what comes after it are in `tests/cli/test_resume_kill.py`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from stadkit.cli.app import app
from stadkit.detection import Detector

MakeVideo = Callable[..., Path]
Stadkit = Callable[..., Any]
Entries = Callable[[str], dict[str, Any]]

EXAMPLE = Path(__file__).parents[2] / "examples" / "playground.mp4"
SHORT = ("--duration", "1", "--device", "cpu", "--precision", "fp32")


def results(folder: str) -> dict[str, bytes]:
    """The files of a run that must not depend on how it went: all but the manifest's timings."""
    return {
        path.name: path.read_bytes()
        for path in Path(folder).iterdir()
        if path.suffix in (".csv", ".jsonl", ".txt")
    }


@pytest.mark.parametrize("moments", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_fault_26_interrupts_at_any_time_lose_nothing(
    moments: int,
    stadkit: Stadkit,
    make_video: MakeVideo,
    fake_detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = [make_video(f"{name}.mp4", seconds=2) for name in "abc"]
    calls = Interrupting()
    # Where the model looks, and where files begin, reach the disk and get their names.
    for thing, name in ((fake_detector.model, "forward"), (os, "fsync"), (os, "replace")):
        monkeypatch.setattr(thing, name, calls.counted(getattr(thing, name)))
    monkeypatch.setattr(Path, "open", calls.counted(Path.open))
    assert stadkit(*paths, "-o", "whole").exit_code == 0
    whole = calls.made
    assert whole >= 20
    for at in sorted({round(n) for n in np.linspace(1, whole, moments)}):
        calls.made, calls.at = 0, at
        assert stadkit(*paths, "-o", f"out{at}").exit_code == 130, at
        calls.at = 0
        assert stadkit(*paths, "-o", f"out{at}").exit_code == 0
        assert results(f"out{at}") == results("whole")


class Interrupting:
    """Ctrl-C just before the call number `at`, from 1, of some functions; 0: never."""

    def __init__(self) -> None:
        self.made = self.at = 0

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self.made += 1
            if self.made == self.at:
                signal.raise_signal(signal.SIGINT)
            return function(*given, **named)

        return call


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_fault_26_a_signal_ends_the_process_with_its_code(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    done = run("detect", EXAMPLE, *SHORT, "-o", "out", folder=tmp_path, stop=number)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.csv")) + list(tmp_path.rglob("out/.*"))


PROGRAM = """
import os, sys
import stadkit.detection
from stadkit.cli.app import main

load, stop = stadkit.detection.load, int(sys.argv.pop(1))

def stopping(*args):
    detector = load(*args)
    forward = detector.model.forward
    def stopped(*given):
        os.kill(os.getpid(), stop)
        return forward(*given)
    detector.model.forward = stopped
    return detector

if stop:
    stadkit.detection.load = stopping
main()
"""


def run(
    *arguments: Path | str,
    folder: Path,
    stop: int = 0,
    environment: dict[str, str] | None = None,
    **how: Any,
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own; `stop`: a signal that it gets at its first clip."""
    command = [sys.executable, "-c", PROGRAM, str(stop), *map(str, arguments)]
    given = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**given, "OMP_NUM_THREADS": "1", **(environment or {})},
        check=False,
        **{"stdout": subprocess.PIPE, **how},
    )


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 100, 600])
@pytest.mark.parametrize("options", [[], ["--save-video"]])
def test_fault_27_a_full_disk_is_one_line_and_leaves_no_half_file(
    stadkit: Stadkit, make_video: MakeVideo, size: int, options: list[str]
) -> None:
    path = make_video("a.mp4", seconds=3)
    before = path.read_bytes()
    arguments = [path, "-o", "out", "--every", "0.1", *options]
    with room_for(size):
        result = stadkit(*arguments)
    assert result.exit_code == 1
    assert result.stderr.count("stadkit: error:") >= 1
    assert "File too large" in result.stderr
    left = [] if not Path("out").exists() else os.listdir("out")
    assert not {name for name in left if name.startswith(("a.", "."))}
    assert path.read_bytes() == before
    assert stadkit(*arguments).exit_code == 0  # once there is room


@pytest.mark.parametrize("number", [13, 30])  # permission denied, read-only file system
def test_fault_27_a_folder_that_cannot_be_written_to_is_one_line(
    stadkit: Stadkit, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = make_video("a.mp4", seconds=1)
    why = os.strerror(number)

    def refuse(self: Path, *_: Any, **__: Any) -> None:
        raise OSError(number, why, str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = stadkit(path, "-o", "out")
    assert result.exit_code == 1
    assert f"out: {why}" in result.stderr
    assert result.stderr.count("stadkit: error:") == 1


def test_fault_27_a_file_where_a_folder_should_be_is_one_line(
    stadkit: Stadkit, make_video: MakeVideo
) -> None:
    Path("file").write_text("mine")
    result = stadkit(make_video("a.mp4", seconds=1), "-o", "file/out")
    assert (result.exit_code, "file: is a file, not a folder" in result.stderr) == (2, True)
    assert Path("file").read_text() == "mine"


def test_fault_27_plain_surroundings(tmp_path: Path) -> None:
    """No HOME, no terminal, no colours, no UTF-8, a cache that cannot be: and a name that is."""
    film = tmp_path / "grüße 走.mp4"
    film.write_bytes(EXAMPLE.read_bytes())
    plain = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "STADKIT_HOME": "/dev/null/none",
    }
    done = run(
        "detect", film.name, *SHORT, "-o", "out", "--json", folder=tmp_path, environment=plain
    )
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    assert json.loads(done.stdout)["exit_code"] == 0
    (table,) = (tmp_path / "out").glob("*.csv")
    assert table.stat().st_size > 0


def test_fault_27_a_user_without_a_home(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pwd

    def nobody(*_: Any) -> Any:
        raise KeyError("uid not found")

    for name in ("HOME", "STADKIT_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    command = ["detect", str(make_video("a.mp4", seconds=0.5)), "-o", str(tmp_path / "out"), *SHORT]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, [*command, "--model", "evad-vit-b", "--overwrite"])
    assert result.exit_code == 3
    assert "STADKIT_HOME" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("end", ["| true", ">&-", "2>&-"])
def test_fault_27_closed_pipes_are_no_traceback(tmp_path: Path, end: str) -> None:
    command = (
        f"{sys.executable} -m stadkit detect {EXAMPLE} -o out --json {' '.join(SHORT)} "
        f"{end}; echo ended >&2"
    )
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert "ended" in done.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["videos"]


def test_fault_28_nothing_is_written_over_and_nothing_looked_at_twice(
    stadkit: Stadkit, make_video: MakeVideo, fake_detector: Detector, entries: Entries
) -> None:
    path = make_video("a.mp4", seconds=1)
    assert stadkit(path, path, path.parent / "." / path.name, "-o", "out").exit_code == 0
    assert list(entries("out")) == ["a"]
    before = results("out")
    refused = stadkit(path, "-o", "out", "--every", "0.5")
    assert (refused.exit_code, "--overwrite" in refused.stderr) == (2, True)
    assert results("out") == before


def test_fault_28_an_input_is_never_an_output(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("out/a.mp4", seconds=1)
    before = path.read_bytes()
    for options in ([], ["--overwrite"]):
        result = stadkit(path, "-o", "out", "--save-video", *options)
        assert (result.exit_code, "is an input too" in result.stderr) == (2, True)
        assert os.listdir("out") == ["a.mp4"]
        assert path.read_bytes() == before


def test_fault_29_cuda_asked_for_but_absent_is_one_line(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    command = ["detect", str(make_video("a.mp4", seconds=1)), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*command, "--device", "cuda"])
    assert result.exit_code == 2
    assert result.stderr == (
        "stadkit: error: device cuda: not available on this machine or in this build of torch\n"
    )
    assert not (tmp_path / "out").exists()


def test_fault_29_a_driver_that_does_not_fit_is_one_line(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    def too_old() -> bool:
        warnings.warn("CUDA initialization: The driver is too old\nUpdate it", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", too_old)
    command = ["detect", str(make_video("a.mp4", seconds=1)), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*command, "--device", "cuda"])
    assert result.exit_code == 2
    assert "The driver is too old" in result.stderr
    assert result.stderr.count("\n") == 1
    result = CliRunner().invoke(app, command)  # auto: the CPU
    assert result.exit_code == 0, result.stderr
    assert "on cpu" in result.stderr


def test_fault_29_a_device_that_fails_is_one_line(fake_card: Any) -> None:
    from stadkit.errors import StadkitError

    class Broken(torch.nn.Module):
        def to(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("CUDA error: no kernel image is available\nCompile with ...")

    with pytest.raises(StadkitError, match=r"cpu: cannot be used .*no kernel image.*--device"):
        Detector(Broken(), fake_card, "cpu", "fp32")


def test_fault_29_short_memory_halves_the_batch_and_is_noted(
    stadkit: Stadkit, make_video: MakeVideo, fake_detector: Detector, entries: Entries
) -> None:
    path = make_video("a.mp4", seconds=2)
    how = ["--every", "0.1", "--batch", "8"]
    assert stadkit(path, "-o", "whole", *how).exit_code == 0
    assert entries("whole")["a"]["batch"] == 8
    looking = fake_detector.model.forward

    def forward(pixels: Any, *rest: Any) -> Any:
        if len(pixels) > 2:
            raise torch.OutOfMemoryError
        return looking(pixels, *rest)

    fake_detector.model.forward = forward
    assert stadkit(path, "-o", "short", *how).exit_code == 0
    assert entries("short")["a"]["batch"] == 2
    assert results("short") == results("whole")


def detected(folder: str, *options: str) -> dict[str, bytes]:
    """The results of the built-in model on two seconds of the example."""
    command = ["detect", str(EXAMPLE), "-o", folder, "--duration", "2", "--precision", "fp32"]
    result = CliRunner().invoke(app, [*command, *options])
    assert result.exit_code == 0, result.output
    return results(folder)


def test_fault_29_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (detected(str(tmp_path / name), "--device", "cpu") for name in "ab")
    assert first == second
    assert len(first) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_fault_29_a_gpu_finds_what_the_cpu_finds(tmp_path: Path) -> None:
    both = [detected(str(tmp_path / name), "--device", name)["playground.jsonl"]
            for name in ("cpu", "cuda")]  # fmt: skip
    cpu, gpu = ([json.loads(line) for line in text.splitlines()] for text in both)
    for ours, theirs in zip(cpu, gpu, strict=True):
        assert len(ours["people"]) == len(theirs["people"])
        for one, other in zip(ours["people"], theirs["people"], strict=True):
            np.testing.assert_allclose(one["box"], other["box"], atol=2e-3)
            assert one["score"] == pytest.approx(other["score"], abs=5e-3)


def test_fault_30_three_of_a_hundred_are_bad(
    stadkit: Stadkit, make_video: MakeVideo, tmp_path: Path
) -> None:
    source = make_video("source.mp4", seconds=0.3).read_bytes()
    folder = tmp_path / "videos"
    folder.mkdir()
    bad = {7: b"", 50: b"hello\n", 93: source[: len(source) // 2]}
    for i in range(100):
        (folder / f"{i:03}.mp4").write_bytes(bad.get(i, source))
    result = stadkit(folder, "-o", "out")
    assert result.exit_code == 1
    assert "97 of 100 complete" in result.stderr
    for name, why in (("007", "is empty"), ("050", "is a text file"), ("093", "none of its")):
        assert sum(f"{name}.mp4" in line and why in line for line in result.stderr.splitlines())
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["exit_code"] == 1
    rows = {row["name"]: row for row in summary["videos"]}
    assert {name for name, row in rows.items() if row["status"] != "ok"} == {"007", "050", "093"}
    assert all(rows[name]["reason"] for name in ("007", "050", "093"))
    assert len(list(Path("out").glob("*.csv"))) == 97
