"""RunFolder: its manifest and journal, its lock, and the remains of killed runs."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stadkit.errors import UsageError
from stadkit.runs import folder as holding
from stadkit.runs.folder import LOCK, RunFolder
from stadkit.runs.record import VideoRecord

FACTS = {"command": "detect"}


def done(run: RunFolder, name: str) -> None:
    """Begin and end an input with one output."""
    path = run.folder / f"{name}.csv"
    run.begin(name, "mark", [path])
    path.write_text("x")
    run.end(name, VideoRecord("ok", outputs={}))


def test_many_inputs_write_few_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = RunFolder.write
    monkeypatch.setattr(RunFolder, "write", lambda run: (written.append(1), write(run)))
    run = RunFolder(tmp_path / "out", FACTS, False)
    for i in range(100):
        done(run, str(i))
    run.close()
    assert len(written) <= 3
    held = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [entry["status"] for entry in held["videos"].values()] == ["ok"] * 100
    assert not (tmp_path / "out" / "manifest.journal").exists()


def test_nothing_is_lost_with_the_process(tmp_path: Path) -> None:
    killed = RunFolder(tmp_path, FACTS, False)  # never closed
    done(killed, "a")
    done(killed, "b")
    killed.begin("c", "mark", [tmp_path / "c.csv"])
    (tmp_path / "c.csv").write_text("ha")
    with (tmp_path / "manifest.journal").open("a") as file:
        file.write('{"d": {"fingerp')  # truncated in the middle of a line
    killed._lock.release()  # as when a process ends
    run = RunFolder(tmp_path, FACTS, False)
    assert run.finished("a", "mark")
    assert run.finished("b", "mark")
    assert run.finished("b", "another") is None
    assert run.finished("c", "mark") is None
    run.begin("c", "mark", [tmp_path / "c.csv"])  # may be overwritten
    with pytest.raises(UsageError, match="exists already"):
        run.begin("c", "another", [tmp_path / "c.csv"])


def test_only_claimed_files_are_removed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, FACTS, True)
    mine, claimed = tmp_path / "mine.csv", tmp_path / "a.csv"
    mine.write_text("mine")
    claimed.write_text("old")
    run.drop("mine", [mine])
    run.begin("a", "mark", [claimed, tmp_path / "a.jsonl"])
    run.drop("a", [claimed, tmp_path / "a.jsonl"])
    assert mine.exists()
    assert not claimed.exists()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    one, other = RunFolder(tmp_path, FACTS, False), RunFolder(tmp_path, FACTS, False)
    with one.held():
        with pytest.raises(UsageError, match="another run is writing there"), other.held():
            pass
        with pytest.raises(UsageError, match="another run is writing there"):
            other.begin("a", "mark", [])
    with other.held():
        other.begin("a", "mark", [])


def test_temporary_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    ours = [f".{'0a' * 16}", f".{'1b' * 16}.png", f".stadkit-{'2c' * 16}.partial"]
    theirs = ["a.csv", ".hidden", f".{'0a' * 15}", "partial"]
    for name in ours + theirs:
        (tmp_path / name).write_text("half")
    with RunFolder(tmp_path, FACTS, False).held():  # without a manifest the files may be the user's
        assert len({path.name for path in tmp_path.iterdir()} - {LOCK}) == 7
    run = RunFolder(tmp_path, FACTS, True)
    run.close()
    with run.held():
        left = {path.name for path in tmp_path.iterdir()}
    assert left - {LOCK} == {*theirs, "manifest.json"}


def test_manifest_entries_are_sorted_by_name(tmp_path: Path) -> None:
    for folder, names in (("one", "abc"), ("other", "cab")):
        run = RunFolder(tmp_path / folder, FACTS, False)
        for name in names:
            done(run, name)
        run.close()
    one, other = ((tmp_path / name / "manifest.json").read_bytes() for name in ("one", "other"))
    assert one == other


def test_a_concurrent_run_keeps_its_entries(tmp_path: Path) -> None:
    folder = tmp_path / "out"  # does not exist yet, so it cannot be locked
    one, other = RunFolder(folder, FACTS, False), RunFolder(folder, FACTS, False)
    other.end("bad", VideoRecord("failed", outputs={}))
    done(one, "a")
    one.close()
    done(other, "b")
    with pytest.raises(UsageError, match="exists already"):
        other.begin("a", "another", [folder / "a.csv"])
    other.close()
    assert list(json.loads((folder / "manifest.json").read_text())["videos"]) == ["a", "b", "bad"]
    assert RunFolder(folder, FACTS, False).finished("a", "mark")


def test_a_failure_before_the_claim_keeps_earlier_results(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, FACTS, False)
    done(run, "a")
    run.drop("a", [tmp_path / "a.csv"])
    assert run.end("a", VideoRecord("failed", outputs={})).status == "failed"
    assert run.finished("a", "mark")
    run.begin("a", "mark", [tmp_path / "a.csv"])
    run.drop("a", [tmp_path / "a.csv"])
    run.end("a", VideoRecord("failed", outputs={}))
    assert run.finished("a", "mark") is None
    assert run.entries["a"].status == "failed"
    assert not (tmp_path / "a.csv").exists()


def test_nfs_locks_files_open_for_writing_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl: Any = pytest.importorskip("fcntl")
    lock = fcntl.flock

    def flock(handle: int, how: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    one, other = RunFolder(tmp_path, FACTS, False), RunFolder(tmp_path, FACTS, False)
    with one.held():
        assert (tmp_path / LOCK).exists()
        with pytest.raises(UsageError, match="another run is writing there"), other.held():
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl: Any = pytest.importorskip("fcntl")

    def flock(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    console = Console(width=80, soft_wrap=True)
    monkeypatch.setattr(holding, "console", console)
    run = RunFolder(tmp_path / "out", FACTS, False)
    with console.capture() as captured:
        done(run, "a")
        done(run, "b")
        run.close()
    assert captured.get().count("its file system has no locks") == 1
    assert captured.get().count("\n") == 1
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"a.csv", "b.csv", "manifest.json"}


def test_a_lock_file_removed_meanwhile_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl: Any = pytest.importorskip("fcntl")
    lock, calls = fcntl.flock, []

    def flock(handle: int, how: int) -> None:
        calls.append(handle)
        if len(calls) == 1:  # another run ends between open and flock
            (tmp_path / LOCK).unlink()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    one, other = RunFolder(tmp_path, FACTS, False), RunFolder(tmp_path, FACTS, False)
    with one.held():
        assert len(calls) == 2
        with pytest.raises(UsageError, match="another run is writing there"), other.held():
            pass


def test_the_lock_of_a_killed_run_does_not_block(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    with RunFolder(tmp_path, FACTS, False).held():
        pass
    assert list(tmp_path.iterdir()) == []
