"""The example configs are valid, and the example scripts run."""

import subprocess
import sys
from pathlib import Path

import pytest

from stadkit import zoo
from stadkit.training.config import read_config
from stadkit.training.criteria import build_criterion
from stadkit.zoo.cards import to_json

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "examples" / "configs").glob("*.yaml"))
VIDEO = ROOT / "examples" / "playground.mp4"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_are_valid(path: Path) -> None:
    config = read_config(path)
    build_criterion(zoo.card(config.model).family, config.loss)


def test_each_model_has_a_config() -> None:
    trained = {read_config(path).model for path in CONFIGS}
    two_stage = {name for name in zoo.CARDS if zoo.card(name).family == "slowfast-roi"}
    assert trained == set(zoo.CARDS) - two_stage  # two-stage models cannot be trained


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_who_does_what() -> None:
    lines = run("examples/who_does_what.py", str(VIDEO)).splitlines()
    assert lines
    assert all(" s  box 0." in line or " s  box 1." in line for line in lines)


def test_contact_sheet(tmp_path: Path) -> None:
    picture = tmp_path / "sheet.png"
    run("examples/contact_sheet.py", str(VIDEO), str(picture), "--frames", "4", "--columns", "2")
    assert picture.stat().st_size > 1000


def test_draw_rooms(tmp_path: Path) -> None:
    picture = tmp_path / "rooms.png"
    run("examples/draw_rooms.py", str(picture))
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert 50_000 < len(content) < 200_000


def test_evad_cost_beside_the_papers() -> None:
    lines = run("examples/evad_cost.py").splitlines()
    assert "| evad-vit-b | 224 | 0.7 | 134.2 | 134.0 | 132.3 |" in lines


def test_evad_is_trained_and_scored_at_each_keep_rate(tmp_path: Path) -> None:
    card = zoo.card("evad-tiny")
    start = tmp_path / "base" / "weights.safetensors"
    zoo.save_weights(zoo.build_card(card).state_dict(), start, {"card": to_json(card)})
    folders = ["-o", str(tmp_path / "keep"), "--store", str(tmp_path / "clips")]
    few = ["--clips", "24", "--val", "3", "--rates", "1.0", "0.7"]
    told = run("examples/evad_keep_rates.py", str(start.parent), *folders, *few)
    assert [line.split(" | ")[0] for line in told.splitlines()[2:]] == ["| 1.0", "| 0.7"]
    assert (tmp_path / "keep" / "0.7" / "weights.safetensors").exists()


def test_stmixer_k_and_t_are_compared(tmp_path: Path) -> None:
    run(
        "-m",
        "stadkit",
        "synth",
        "-o",
        str(tmp_path / "fast"),
        *["--videos", "1", "--seconds", "4", "--seed", "9"],
    )
    for name in ("stmixer-k-tiny", "stmixer-t-tiny"):
        card = zoo.card(name)
        weights = zoo.build_card(card).state_dict()
        zoo.save_weights(weights, tmp_path / name / "weights.safetensors", {"card": to_json(card)})
    folders = (str(tmp_path / name) for name in ("fast", "stmixer-k-tiny", "stmixer-t-tiny"))
    lines = run("examples/stmixer_tubes.py", *folders).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| K, key frames", "| T, tubelets"]


@pytest.mark.slow
def test_strategies_are_trained_and_compared(tmp_path: Path) -> None:
    for name in ("sparse", "dense"):
        few = ["--videos", "1", "--seconds", "9", "--size", "160x120"]
        run("-m", "stadkit", "synth", "-o", str(tmp_path / name), *few)
    folders = (str(tmp_path / "sparse"), str(tmp_path / "dense"), "-o", str(tmp_path / "out"))
    few = ["--seeds", "1", "--burn-in", "1", "--epochs", "1", "--strategies", "ema", "truth"]
    lines = run("examples/table5.py", *folders, *few).splitlines()
    assert [line.split(" | ")[0] for line in lines[-4:]] == [
        "| the burn-in",
        "| none",
        "| ema",
        "| truth",
    ]
    held = tmp_path / "out" / "ema-1"
    assert (held / "student.safetensors").read_bytes() != (
        held / "weights.safetensors"
    ).read_bytes()
