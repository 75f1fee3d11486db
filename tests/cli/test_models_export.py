"""`stadkit models export`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

import stadkit
from stadkit import zoo
from stadkit.cli.app import app
from stadkit.zoo import export as exporting
from stadkit.zoo.weights import candidate_paths, save_weights


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))


def export(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["models", "export", *map(str, arguments)])


def test_weights_are_exported_and_loaded(tmp_path: Path) -> None:
    out = tmp_path / "copy.safetensors"
    result = export("mestad-nano", "-o", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(out)
    assert zoo.sha256(out) == zoo.card("mestad-nano").sha256
    assert zoo.sha256(out) in result.stderr
    detector = stadkit.load(str(out), device="cpu")
    assert (detector.name, detector.card.family) == ("copy", "mestad")
    again = tmp_path / "again.safetensors"
    report = json.loads(export(out, "-o", again, "--json").stdout)
    assert report == {"file": str(again), "format": "safetensors", "sha256": zoo.sha256(out)}
    assert zoo.read_sidecar(again)["card"] == zoo.read_sidecar(out)["card"]


def test_a_backbone_is_exported(tmp_path: Path) -> None:
    save_weights(
        {"a": torch.zeros(1)}, candidate_paths("videomae-base")[1], {"licence": "CC-BY-NC-4.0"}
    )
    assert export("videomae-base", "-o", tmp_path / "b.safetensors").exit_code == 0
    assert zoo.read_sidecar(tmp_path / "b.safetensors")["licence"] == "CC-BY-NC-4.0"


def test_onnx_reports_the_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []

    def to_onnx(model: object, card: object, size: tuple[int, int], out: Path, notes: object):  # type: ignore[no-untyped-def]
        sizes.append(size)
        out.write_bytes(b"graph")
        return exporting.Exported({"pixels": [1, 3, 8, *size]}, {"person": [1, 20]}, 3.4e-6)

    monkeypatch.setattr(exporting, "to_onnx", to_onnx)
    out = tmp_path / "x.onnx"
    result = export("mestad-nano", "--format", "onnx", "--size", "192x320", "-o", out)
    assert result.exit_code == 0, result.stderr
    assert "difference: at most 3.4e-06 from torch" in result.stderr
    assert "inputs: pixels [1, 3, 8, 192, 320]" in result.stderr
    report = json.loads(
        export("mestad-nano", "--format", "onnx", "-o", out, "--overwrite", "--json").stdout
    )
    assert (report["difference"], report["outputs"]) == (3.4e-6, {"person": [1, 20]})
    assert sizes == [(192, 320), (288, 288)]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["mestad-nan"], 2, "did you mean mestad-nano"),
        (["evad-vit-b"], 3, "no weights for evad-vit-b"),
        (["gone.safetensors"], 2, "no such file"),
        (["mestad-nano", "--size", "192"], 2, "--size needs --format onnx"),
        (["mestad-nano", "--format", "onnx", "--size", "big"], 2, "--size 'big': use pixels"),
        (["mestad-nano", "--format", "onnx", "--size", "100"], 2, "not a multiple of 32 pixels"),
        (["videomae-base", "--format", "onnx"], 2, "is a backbone, not a model"),
        (["mestad-nano", "-o", "x.onnx"], 2, "does not end in .safetensors"),
        (["mestad-nano", "-o", "gone/x.safetensors"], 2, "no such folder"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = export(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    out.with_suffix(".json").write_text("mine")
    result = export("mestad-nano", "-o", out)
    assert result.exit_code == 2
    assert "already exists; use --overwrite to replace it" in result.stderr
    assert (out.exists(), out.with_suffix(".json").read_text()) == (False, "mine")
    assert export("mestad-nano", "-o", out, "--overwrite").exit_code == 0
    assert "is the file being exported" in export(out, "-o", out, "--overwrite").stderr


@pytest.mark.slow
def test_the_built_in_model_as_onnx(tmp_path: Path) -> None:
    """The whole model at a small size: noise has no people, but every number is compared."""
    pytest.importorskip("onnxruntime", reason="ONNX is an extra: stadkit[onnx]")
    out = tmp_path / "nano.onnx"
    result = export("mestad-nano", "--format", "onnx", "--size", "64", "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["inputs"] == {"pixels": [1, 3, 8, 64, 64]}
    assert report["outputs"]["action"] == [1, 40, len(zoo.card("mestad-nano").classes)]
    assert report["difference"] < 1e-4
    assert list(tmp_path.glob(".*")) == []
