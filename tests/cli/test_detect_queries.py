"""`stadkit detect --save-queries`, and `--queries`, which reads its results."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from stadkit.cli.app import app
from stadkit.detection import Detector
from stadkit.detection.bank import QueryBank
from stadkit.models.stmixer import StmixerConfig, build
from stadkit.runs.pictures import own_files, remove

MakeVideo = Callable[..., Path]
Stadkit = Callable[..., Result]
FILES = ["entry.npy", "header.json", "person.npy", "time.npy"]
SMALL: dict[str, Any] = {
    "classes": 2,
    "backbone": "slowonly-tiny",
    "frames": 4,
    "queries": 6,
    "width": 16,
    "groups": 2,
    "points": 4,
    "out_points": 8,
    "stages": 2,
    "heads": 2,
    "feedforward": 24,
}


@pytest.fixture
def detectors(fake_card: Any) -> dict[str, Detector]:
    """A detector for each --model: SMALL, SMALL with a long-term classifier, and others."""
    card = replace(fake_card, min_person=0.3, multiple=32)
    settings: dict[str, dict[str, Any]] = {
        "plain": {},
        "long": {"classifier": "long"},
        "wide": {"classifier": "long", "width": 24},
        "learned": {"classifier": "long", "bank": "f" * 64},
    }
    made = {}
    for name, more in settings.items():
        torch.manual_seed(0)
        model = build(StmixerConfig(**{**SMALL, **more}))
        for key, weight in model.named_parameters():
            if "classifier.long" in key and weight.ndim > 1:
                torch.nn.init.normal_(weight)
        made[name] = Detector(model, card, "cpu", "fp32", name, name[0] * 64)
    return made


@pytest.fixture
def stadkit(
    detectors: dict[str, Detector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Stadkit:
    """Run `stadkit detect --model MODEL` with these arguments, in a temporary folder."""
    monkeypatch.setattr("stadkit.detection.load", lambda name, *args: detectors[name])
    monkeypatch.chdir(tmp_path)

    def run(model: str, *arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["detect", "--model", model, *map(str, arguments)])

    return run


def manifest(folder: str) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(Path(folder, "manifest.json").read_text())
    return held


def save(stadkit: Stadkit, *paths: Path, folder: str = "bank") -> None:
    result = stadkit("plain", *paths, "-o", folder, "--save-queries")
    assert result.exit_code == 0, result.stderr


def test_each_video_has_a_bank(stadkit: Stadkit, make_video: MakeVideo) -> None:
    save(stadkit, make_video("a.mp4"), make_video("b.mp4", seconds=1))
    for name in ("a", "b"):
        assert sorted(os.listdir(f"bank/{name}.queries")) == FILES
        assert own_files(Path(f"bank/{name}.queries")) == [
            Path(f"bank/{name}.queries/{file}") for file in FILES
        ]
    bank = QueryBank("bank/a.queries")
    header = bank.header
    assert (header.model, header.sha256, header.width) == ("plain", "p" * 64, 32)
    assert (header.every, header.min_person) == (1.0, 0.3)
    # One for each reported person, whose score reaches the threshold.
    lines = [json.loads(line) for line in Path("bank/a.jsonl").read_text().splitlines()]
    assert header.entries == sum(len(line["people"]) for line in lines) > 0
    person = np.load("bank/a.queries/person.npy")
    assert person.min() >= 0.3
    held = manifest("bank")
    assert held["arguments"]["save_queries"] is True
    assert [f"a.queries/{file}" in held["videos"]["a"]["outputs"] for file in FILES] == [True] * 4


def test_the_bank_uses_the_users_threshold(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4")
    stadkit("plain", path, "-o", "none", "--save-queries", "--min-person", "1")
    assert QueryBank("none/a.queries").header.entries == 0
    stadkit("plain", path, "-o", "all", "--save-queries", "--min-person", "0", "--every", "0.5")
    header = QueryBank("all/a.queries").header
    assert (header.entries, header.min_person, header.every) == (36, 0.0, 0.5)


def test_without_the_option_there_is_no_bank(stadkit: Stadkit, make_video: MakeVideo) -> None:
    assert stadkit("plain", make_video("a.mp4", seconds=1), "-o", "out").exit_code == 0
    assert not Path("out/a.queries").exists()


def test_a_long_term_classifier_reads_it(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4")
    save(stadkit, path)
    arguments = ["-o", "out", "--queries", "bank", "--min-action", "0"]
    result = stadkit("long", path, *arguments)
    assert result.exit_code == 0, result.stderr
    assert ", query bank window 60 s" in result.stderr
    held = manifest("out")
    assert held["arguments"]["window"] == 60
    assert len(held["videos"]["a"]["queries"]) == 64
    alone = stadkit("long", path, "-o", "alone", "--min-action", "0")
    assert "without a query bank (--queries) for its long-term classifier" in alone.stderr
    assert stadkit("long", path, *arguments, "--window", "0").exit_code == 2
    none = stadkit("long", path, *arguments, "--window", "0", "--overwrite")
    assert ", query bank window 0 s" in none.stderr
    texts = {name: Path(name, "a.csv").read_text() for name in ("out", "alone")}
    assert texts["out"] == texts["alone"]  # an empty window adds nothing
    stadkit("long", path, *arguments, "--overwrite")
    assert Path("out/a.csv").read_text() != texts["alone"]


def test_resume_compares_the_bank(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4")
    save(stadkit, path)
    arguments = ["-o", "out", "--queries", "bank"]
    assert stadkit("long", path, *arguments).exit_code == 0
    assert "kept from an earlier run" in stadkit("long", path, *arguments).stderr
    stadkit("plain", path, "-o", "bank", "--save-queries", "--overwrite", "--every", "0.5")
    result = stadkit("long", path, *arguments)
    assert result.exit_code == 2
    assert "exists already; use --overwrite" in result.stderr
    result = stadkit("long", path, "-o", "out")
    assert "window was 60.0, is None" in result.stderr


def test_resume_of_a_bank(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=1)
    save(stadkit, path)
    again = ["plain", path, "-o", "bank", "--save-queries"]
    assert "kept from an earlier run" in stadkit(*again).stderr
    before = Path("bank/a.queries/entry.npy").read_bytes()
    Path("bank/a.queries/entry.npy").write_text("spoiled")
    assert "kept from an earlier run" not in stadkit(*again).stderr
    assert Path("bank/a.queries/entry.npy").read_bytes() == before
    result = stadkit("plain", path, "-o", "bank")
    assert result.exit_code == 2
    assert "save_queries was True, is False" in result.stderr


def test_an_interrupted_run_is_resumed(
    stadkit: Stadkit, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stadkit.detection.bank import BankWriter

    path, whole = make_video("a.mp4"), BankWriter.add

    def killed(self: Any, clip: Any, *rest: Any) -> None:
        if clip.time == 2:
            raise KeyboardInterrupt
        whole(self, clip, *rest)

    monkeypatch.setattr(BankWriter, "add", killed)
    arguments = ["plain", path, "-o", "bank", "--save-queries", "--batch", "1"]
    assert stadkit(*arguments).exit_code == 130
    assert not Path("bank/a.queries").exists()
    monkeypatch.setattr(BankWriter, "add", whole)
    Path("bank/a.queries").mkdir()
    for half in (".npy", ""):  # as left by kill -9
        Path(f"bank/a.queries/.{'0' * 32}{half}").write_text("half a bank")
    assert stadkit(*arguments).exit_code == 0
    assert sorted(os.listdir("bank/a.queries")) == FILES


def test_a_video_whose_bank_is_missing_does_not_stop_the_others(
    stadkit: Stadkit, make_video: MakeVideo
) -> None:
    paths = [make_video(f"{name}.mp4", seconds=1) for name in "ab"]
    save(stadkit, paths[0])
    result = stadkit("long", *paths, "-o", "out", "--queries", "bank")
    assert result.exit_code == 1
    assert "b.mp4: bank/b.queries: no query bank (no such folder)" in result.stderr
    assert {path.name for path in Path("out").glob("?.*")} == {"a.csv", "a.jsonl"}


def refuse_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: Any) -> None:
        raise AssertionError("a video was opened")

    monkeypatch.setattr("stadkit.detection.video.open_video", opened)
    monkeypatch.setattr("stadkit.runs.job.check_file", opened)


@pytest.mark.parametrize(
    ("model", "option", "code", "message"),
    [
        ("fake", "--save-queries", 2, "fake: has no queries to save; use an STMixer, such as"),
        ("fake", "--queries=bank", 2, "fake: reads no query bank; train an STMixer with"),
        ("plain", "--queries=bank", 2, "plain: reads no query bank; train an STMixer with"),
        ("long", "--queries=gone", 2, "gone: no such folder of results; `stadkit detect INPUT"),
        ("long", "--queries=bank", 5, "bank: has no query bank of any input, such as"),
    ],
)
def test_wrong_usage_is_reported_before_anything_is_read(
    stadkit: Stadkit,
    make_video: MakeVideo,
    detectors: dict[str, Detector],
    fake_detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    option: str,
    code: int,
    message: str,
) -> None:
    detectors["fake"] = fake_detector
    refuse_to_open(monkeypatch)
    Path("bank").mkdir()
    result = stadkit(model, make_video("a.mp4", seconds=1), "-o", "out", option)
    assert result.exit_code == code
    assert result.stderr.startswith(f"stadkit: error: {message}")
    assert result.stderr.count("\n") == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("wide", "bank/a.queries: entries have 32 channels (made by "),
        ("learned", "bank/a.queries: made by plain, weights pppppppppppppppp..., but this model"),
    ],
)
def test_a_bank_of_another_model(
    stadkit: Stadkit, make_video: MakeVideo, model: str, message: str
) -> None:
    path = make_video("a.mp4", seconds=1)
    save(stadkit, path)
    result = stadkit(model, path, "-o", "out", "--queries", "bank")
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not Path("out/a.csv").exists()


def test_a_damaged_bank(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=1)
    save(stadkit, path)
    entry = Path("bank/a.queries/entry.npy")
    entry.write_bytes(entry.read_bytes()[:-8] + b"\xff" * 8)
    result = stadkit("long", path, "-o", "out", "--queries", "bank")
    assert result.exit_code == 1
    assert "bank/a.queries/entry.npy: has changed since it was written" in result.stderr
    assert "Traceback" not in result.stderr
    assert not Path("out/a.csv").exists()


def test_a_bank_does_not_overwrite_its_input(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=1)
    save(stadkit, path)
    before = Path("bank/a.queries/header.json").read_bytes()
    arguments = ["-o", "bank", "--queries", "bank", "--save-queries", "--overwrite"]
    result = stadkit("long", path, *arguments)
    assert result.exit_code == 2
    assert "bank/a.queries: is an input too" in result.stderr
    assert Path("bank/a.queries/header.json").read_bytes() == before


def test_remove_keeps_foreign_files(tmp_path: Path) -> None:
    folder = tmp_path / "a.queries"
    folder.mkdir()
    for name in (*FILES, f".{'0' * 32}", f".{'0' * 32}.npy", "1.000.png", "mine.npy"):
        (folder / name).touch()
    remove(folder)
    assert sorted(os.listdir(folder)) == ["1.000.png", "mine.npy"]
    other = tmp_path / "a.csv"
    other.mkdir()
    (other / "time.npy").touch()
    remove(other)
    assert os.listdir(other) == ["time.npy"]
