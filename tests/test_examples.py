"""The example configs are valid, and the example scripts run."""

import subprocess
import sys
from pathlib import Path

import pytest

from stadkit import zoo
from stadkit.training.config import read_config
from stadkit.training.criteria import build_criterion

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
