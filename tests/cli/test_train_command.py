"""`stadkit train` from the command line."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from stadkit.cli.app import app

CONFIG = """
model: mestad-tiny
settings: {width: 16, depth: 1, groups: 4}
data:
  train: {clips: 4, seed: 40, height: 64, width: 80}
  workers: 0
augment: {short_side: [64, 64], crop: [64, 64]}
loss: {rois: jitter, ranges: [32, 64]}
optimizer: {name: adamw, lr: 0.001}
schedule: {epochs: 1, warmup: 0}
batch: 2
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    return path


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["train", *words, "--device", "cpu"])
    return done.exit_code, done.stdout, " ".join(done.stderr.split())


def test_weights_can_be_used_at_once(config: Path, tmp_path: Path) -> None:
    import stadkit

    out = tmp_path / "out"
    code, stdout, stderr = run(str(config), "-o", str(out), "--json")
    assert code == 0, stderr
    assert {"person", "box", "quality", "action"} <= set(json.loads(stdout))
    assert "stadkit detect VIDEO --model" in stderr
    detector = stadkit.load(str(out / "weights.safetensors"), device="cpu")
    assert detector.card.settings["width"] == 16
    # A second run has nothing to do and prints the same figures.
    code, again, stderr = run(str(config), "-o", str(out), "--json", "--resume")
    assert (code, again) == (0, stdout)
    assert "all epochs (1) are finished" in stderr


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "weights.json", "results.csv", "checkpoint.pt", "args.json"]
)
def test_no_file_is_overwritten(config: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")
    code, _, stderr = run(str(config), "-o", str(tmp_path))
    assert code == 2
    assert f"({name}); use --resume to continue it or --overwrite to restart" in stderr
    assert (tmp_path / name).read_text() == "old"


def test_overwrite_keeps_old_files_if_the_config_is_invalid(config: Path, tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("old\n")
    config.write_text(CONFIG.replace("width: 16", "width: 15"))
    code, _, stderr = run(str(config), "-o", str(tmp_path), "--overwrite")
    assert code == 2, stderr
    assert (tmp_path / "results.csv").read_text() == "old\n"
    config.write_text(CONFIG)
    assert run(str(config), "-o", str(tmp_path), "--overwrite")[0] == 0
    assert "old" not in (tmp_path / "results.csv").read_text()


def test_only_rank_0_prints(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    code, stdout, stderr = run(str(config), "-o", str(tmp_path / "out"), "--json")
    assert (code, stdout) == (0, "")
    assert "Weights:" not in stderr


def test_initial_weights_are_reported(config: Path, tmp_path: Path) -> None:
    run(str(config), "-o", str(tmp_path / "a"))
    start = tmp_path / "a" / "weights.safetensors"
    config.write_text(CONFIG + f"init: {start}\n")
    code, _, stderr = run(str(config), "-o", str(tmp_path / "b"))
    assert code == 0
    assert "weights.safetensors; all tensors loaded" in stderr
    assert "note:" not in stderr
    save_file({**load_file(start), **{f"x{i}": torch.ones(1) for i in range(6)}}, start)
    code, _, stderr = run(str(config), "-o", str(tmp_path / "c"))
    assert code == 0
    assert "note: not used from this file: 6 tensors (x0, x1, x2, x3, x4, ...)" in stderr


def test_wrong_config(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("mestad-tiny", "mestad-nanno"))
    code, _, stderr = run(str(config), "-o", str(tmp_path / "out"))
    assert code == 2
    assert "did you mean mestad-nano?" in stderr


def test_nothing_to_resume(config: Path, tmp_path: Path) -> None:
    code, _, stderr = run(str(config), "-o", str(tmp_path / "out"), "--resume")
    assert code == 2
    assert "no checkpoint to resume" in stderr
