"""A folder of results, and what a killed run leaves of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stadkit.cli.runs import Run
from stadkit.errors import UsageError

FACTS = {"command": "detect"}


def done(run: Run, name: str) -> None:
    """An input begun and ended, with one output."""
    path = run.folder / f"{name}.csv"
    run.begin(name, "mark", [path])
    path.write_text("x")
    run.end(name, {"status": "ok", "outputs": {}})


def test_many_inputs_are_few_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = Run.write
    monkeypatch.setattr(Run, "write", lambda run: (written.append(1), write(run)))
    run = Run(tmp_path / "out", FACTS, False)
    for i in range(100):
        done(run, str(i))
    run.close()
    assert len(written) <= 3
    held = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [entry["status"] for entry in held["videos"].values()] == ["ok"] * 100
    assert not (tmp_path / "out" / "manifest.journal").exists()


def test_nothing_is_lost_with_the_process(tmp_path: Path) -> None:
    killed = Run(tmp_path, FACTS, False)  # never closed
    done(killed, "a")
    done(killed, "b")
    killed.begin("c", "mark", [tmp_path / "c.csv"])
    (tmp_path / "c.csv").write_text("ha")
    with (tmp_path / "manifest.journal").open("a") as file:
        file.write('{"d": {"fingerp')  # cut in the middle of a line
    run = Run(tmp_path, FACTS, False)
    assert run.finished("a", "mark")
    assert run.finished("b", "mark")
    assert run.finished("b", "another") is None
    assert run.finished("c", "mark") is None
    run.begin("c", "mark", [tmp_path / "c.csv"])  # ours to write over
    with pytest.raises(UsageError, match="is there already"):
        run.begin("c", "another", [tmp_path / "c.csv"])


def test_only_what_was_claimed_is_taken_away(tmp_path: Path) -> None:
    run = Run(tmp_path, FACTS, True)
    mine, claimed = tmp_path / "mine.csv", tmp_path / "a.csv"
    mine.write_text("mine")
    claimed.write_text("old")
    run.drop("mine", [mine])
    run.begin("a", "mark", [claimed, tmp_path / "a.jsonl"])
    run.drop("a", [claimed, tmp_path / "a.jsonl"])
    assert mine.exists()
    assert not claimed.exists()
