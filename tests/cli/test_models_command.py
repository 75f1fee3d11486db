"""`stadkit models`."""

from __future__ import annotations

import json
from dataclasses import replace
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
    assert rows["mestad-slowfast-r50"]["source"].startswith("ME-STAD (arXiv 2206.03064)")
    states = {name: row["state"] for name, row in rows.items()}
    assert states["mestad-slowfast-r50"] == "importable"
    assert states["evad-vit-b"] == "manual"
    assert states["videomae-base"] == "downloadable"
    datasets = {row["dataset"] for row in rows.values()}
    assert {"AVA v2.2", "AVA", "Playground", "Kinetics-400"} <= datasets


def test_list_is_a_table_of_80_columns() -> None:
    """One group per family, one row per name, a letter for the source of each figure."""
    lines = models("list").stdout.splitlines()
    assert max(len(line) for line in lines) <= 80
    words = [line.split() for line in lines]
    source = ["ME-STAD", "(arXiv", "2206.03064)", "Table", "1"]
    letter = next(row[0] for row in words if row[1:] == source)
    assert ["mestad-slowfast-r50", "AVA", "v2.2", f"25.5{letter}", "-", "-", "importable"] in words
    first = {row[0] for row in words if row}
    assert first >= zoo.CARDS.keys() | zoo.BACKBONES.keys() | {"mestad:", "evad:", "backbone:"}


def test_list_shows_installed_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    from stadkit.zoo.listing import obtainable
    from stadkit.zoo.weights import candidate_paths, save_weights

    card = replace(zoo.card("evad-vit-b"), url="https://example.org/x.pth")
    monkeypatch.setitem(zoo.CARDS, "evad-vit-b", card)
    assert obtainable("evad-vit-b") == "downloadable"
    save_weights({"a": torch.zeros(1)}, candidate_paths("evad-vit-b")[1])
    assert obtainable("evad-vit-b") == "here"
    save_weights({"a": torch.zeros(1)}, candidate_paths("mestad-nano")[0])
    assert obtainable("mestad-nano") == "built in"


def test_info_counts_parameters_and_gmacs() -> None:
    facts = json.loads(models("info", "mestad-nano", "--size", "128", "--json").stdout)
    assert facts["name"] == "mestad-nano"
    assert facts["parameters"] == sum(p.numel() for p in zoo.build("mestad-nano").parameters())
    larger = json.loads(models("info", "mestad-nano", "--size", "256", "--json").stdout)
    # Four times the pixels cost four times the convolutions, and slightly more for the windows of
    # optical flow, which are products of whole rows; the head on people costs the same.
    assert 3 < larger["gmacs"] / facts["gmacs"] <= 4.1
    assert "parameters" in models("info", "mestad-nano").stdout


def test_import_verify_and_damage(tmp_path: Path, own_home: Path) -> None:
    torch.save({"model": zoo.build("mestad-nano").state_dict()}, tmp_path / "x.pth")
    result = models("import", tmp_path / "x.pth", "--as", "mestad-nano")
    assert result.exit_code == 0, result.stderr
    kept = Path(result.stdout.strip())
    assert kept == own_home / "weights" / "mestad-nano.safetensors"
    result = models("verify")
    assert (result.exit_code, result.stdout) == (
        0,
        f"mestad-nano: ok  sha256 {zoo.sha256(kept)}\n",
    )
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    result = models("verify")
    assert result.exit_code == 3
    assert "damaged or changed" in result.stdout


def test_missing_weights_end_detect_with_3(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    arguments = ["detect", str(tmp_path / "a.mp4"), "-m", "mestad-slowfast-r50"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert "stadkit models import FILE --as mestad-slowfast-r50" in result.stderr


def test_unknown_name_exits_2() -> None:
    result = models("info", "mestad-nan")
    assert result.exit_code == 2
    assert "did you mean mestad-nano" in result.stderr
