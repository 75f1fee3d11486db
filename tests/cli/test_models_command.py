"""`stadkit models`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from stadkit import zoo
from stadkit.cli.app import app


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("stadkit.zoo.weights.BUILT_IN", tmp_path / "built-in")
    return tmp_path / "home"


def models(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


def test_list_shows_licence_and_state() -> None:
    rows = {row["name"]: row for row in json.loads(models("list", "--json").stdout)}
    assert rows.keys() == zoo.CARDS.keys() | zoo.BACKBONES.keys()
    assert rows["mestad-slowfast-r50"]["weights"] == "absent"
    assert rows["mestad-slowfast-r50"]["licence"] == "none released"
    told = models("list").stdout
    assert "AVA v2.2 frame mAP 25.5" in told
    assert len(told.splitlines()) == 1 + len(zoo.CARDS) + len(zoo.BACKBONES)


def test_info_counts_parameters_and_gmacs() -> None:
    told = json.loads(models("info", "mestad-nano", "--size", "128", "--json").stdout)
    assert told["name"] == "mestad-nano"
    assert told["parameters"] == sum(p.numel() for p in zoo.build("mestad-nano").parameters())
    larger = json.loads(models("info", "mestad-nano", "--size", "256", "--json").stdout)
    # Four times the pixels is four times the convolutions; the head on people stays.
    assert 3 < larger["gmacs"] / told["gmacs"] <= 4
    assert "parameters" in models("info", "mestad-nano").stdout


def test_import_verify_and_damage(tmp_path: Path, own_home: Path) -> None:
    torch.save({"model": zoo.build("mestad-nano").state_dict()}, tmp_path / "x.pth")
    result = models("import", tmp_path / "x.pth", "--as", "mestad-nano")
    assert result.exit_code == 0, result.stderr
    kept = Path(result.stdout.strip())
    assert kept == own_home / "weights" / "mestad-nano.safetensors"
    assert models("verify").exit_code == 0
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    result = models("verify")
    assert result.exit_code == 3
    assert "damaged or changed" in result.stdout


def test_absent_weights_stop_detect_with_3(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    arguments = ["detect", str(tmp_path / "a.mp4"), "-m", "mestad-slowfast-r50"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert "stadkit models import FILE --as mestad-slowfast-r50" in result.stderr


def test_unknown_name_is_2() -> None:
    result = models("info", "mestad-nan")
    assert result.exit_code == 2
    assert "did you mean mestad-nano" in result.stderr
