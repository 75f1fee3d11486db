"""summary.json, and the report at the end of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from stadkit.cli.app import app
from stadkit.runs import messages
from stadkit.runs.messages import MAX_ROWS, make_summary, print_summary, remove_summary, summary_row
from stadkit.runs.record import VideoRecord


def entry(status: str, people: int = 3) -> VideoRecord:
    record = VideoRecord(status, input="videos/x.mp4", reason="", seconds=1.5)
    if status == "failed":
        return replace(record, reason="is empty", unusable=True)
    return replace(record, people=people, keyframes=4, fingerprint="0", outputs={})


def test_totals() -> None:
    each = {"c": "partial", "b": "failed", "a": "ok", "d": "failed"}
    rows = [summary_row(name, entry(status, 1 + len(name))) for name, status in each.items()]
    made = make_summary(rows, 1)
    assert [each["name"] for each in made["videos"]] == ["a", "b", "c", "d"]
    assert made["totals"] == {
        "videos": 4,
        "ok": 1,
        "partial": 1,
        "failed": 2,
        "people": 4,
        "keyframes": 8,
        "seconds": 6.0,
    }
    assert made["videos"][1] == {
        "name": "b",
        "input": "videos/x.mp4",
        "status": "failed",
        "reason": "is empty",
        "people": None,
        "keyframes": None,
        "seconds": 1.5,
    }


def printed(monkeypatch: pytest.MonkeyPatch, rows: list[Any], terminal: bool) -> list[str]:
    console = Console(force_terminal=terminal, color_system=None, width=80, soft_wrap=True)
    monkeypatch.setattr(messages, "console", console)
    with console.capture() as captured:
        print_summary(make_summary(rows, 0))
    return [line.strip() for line in captured.get().splitlines()]


def test_a_table_in_a_terminal_and_a_line_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [summary_row("a", entry("ok")), summary_row("b", entry("failed"))]
    last = "1 of 2 complete: 3 people in 4 keyframes, 3 s"
    assert printed(monkeypatch, rows, terminal=False) == [last]
    lines = printed(monkeypatch, rows, terminal=True)
    assert [line.split()[:2] for line in lines[:3]] == [
        ["video", "status"],
        ["videos/x.mp4", "failed"],
        ["videos/x.mp4", "ok"],
    ]
    assert lines[3] == last
    assert printed(monkeypatch, rows[:1], terminal=True) == []


def test_a_long_table_is_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [summary_row(str(i), entry("ok")) for i in range(MAX_ROWS + 5)]
    lines = printed(monkeypatch, rows, terminal=True)
    assert len(lines) == 1 + MAX_ROWS + 2
    assert lines[-2] == "and 5 more; see summary.json"


def test_97_of_100(
    fake_detector: Any,
    make_video: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stadkit.detection.load", lambda *args: fake_detector)
    monkeypatch.chdir(tmp_path)
    content = make_video("videos/000.mp4", seconds=0.3).read_bytes()
    for i in range(100):
        Path(f"videos/{i:03}.mp4").write_bytes(content if i not in (7, 50, 99) else b"hello")
    result = CliRunner().invoke(app, ["detect", "videos", "-o", "out"])
    assert result.exit_code == 1
    assert "97 of 100 complete: 97 people in 97 keyframes" in result.stderr
    ending = result.stderr.splitlines()[-4:]
    assert ending[0] == "not complete:"
    assert [line.split(": ")[2] for line in ending[1:]] == [
        f"videos/{name}.mp4" for name in ("007", "050", "099")
    ]
    held = json.loads(Path("out/summary.json").read_text())
    assert held["exit_code"] == 1
    assert held["totals"]["failed"] == 3
    assert {each["name"] for each in held["videos"] if "text file" in each["reason"]} == {
        "007",
        "050",
        "099",
    }


def test_rows_are_sorted_and_an_earlier_summary_is_removed(
    fake_detector: Any,
    make_video: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stadkit.detection.load", lambda *args: fake_detector)
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        make_video(f"{name}.mp4", seconds=0.3)
    command = ["detect", "b.mp4", "a.mp4", "-o", "out"]
    assert CliRunner().invoke(app, command).exit_code == 0
    path = Path("out/summary.json")
    assert [each["name"] for each in json.loads(path.read_text())["videos"]] == ["a", "b"]

    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(fake_detector.model, "forward", stop)
    assert CliRunner().invoke(app, [*command, "--no-resume"]).exit_code == 130
    assert not path.exists()


def test_a_summary_without_a_manifest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("mine")
    remove_summary(tmp_path)
    assert path.exists()
    (tmp_path / "manifest.json").touch()
    remove_summary(tmp_path)
    assert not path.exists()
