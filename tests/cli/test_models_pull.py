"""`stadkit models pull`, with the downloaders replaced."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from stadkit import zoo
from stadkit.cli.app import app
from stadkit.models.vit import Vit, VitConfig
from stadkit.zoo import hub
from stadkit.zoo.backbones import Backbone
from stadkit.zoo.dialects import official
from stadkit.zoo.weights import save_weights

SHAPE: dict[str, Any] = {"width": 16, "depth": 2, "heads": 2, "maps_at": (0, 1), "prune_at": ()}
SMALL: dict[str, Any] = {
    **{"width": 16, "depth": 4, "heads": 2, "maps_at": [0, 1, 2, 3], "prune_at": [1]},
    **{"proposals": 2, "people_width": 8, "people_heads": 1, "people_attention": 1},
    **{"feedforward": 8, "dynamic": 2},
    **{"decoder_width": 8, "decoder_depth": 1, "decoder_heads": 1, "classifier": 4},
}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    small = Backbone("some/repo", SHAPE, 1_500_000, "nothing")
    monkeypatch.setitem(zoo.BACKBONES, "videomae-base", small)
    for name in ("evad-vit-b", "evad-vit-b-keep06"):
        card = zoo.card(name)
        held = {**card.__dict__, "settings": {**card.settings, **SMALL}}
        monkeypatch.setitem(zoo.CARDS, name, zoo.Card(**held))
    return tmp_path / "home"


def models(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


@pytest.fixture
def from_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Requests to a fake Hub that serves a small backbone."""
    requests: list[tuple[str, str]] = []

    def fetch(repo: str, file: str, name: str, folder: Path, again: bool) -> hub.Fetched:
        requests.append((repo, file))
        folder.mkdir(parents=True, exist_ok=True)
        save_file(Vit(VitConfig(**SHAPE)).state_dict(), folder / "x.safetensors")
        return hub.Fetched(folder / "x.safetensors", "c" * 40, True)

    monkeypatch.setattr(hub, "fetch", fetch)
    return requests


def from_drive(monkeypatch: pytest.MonkeyPatch, config: str) -> list[str]:
    """Requests to a fake Drive that serves a small EVAD with this config."""
    requests: list[str] = []

    def download(id: str, output: str, quiet: bool, resume: bool) -> str:
        if not Path(output).exists():
            requests.append(id)
            held = official.to_official(zoo.build("evad-vit-b").state_dict())
            torch.save({"model_state": held, "cfg": config}, output)
        return output

    monkeypatch.setitem(sys.modules, "gdown", SimpleNamespace(download=download))
    return requests


def test_a_backbone_with_its_licence(own_home: Path, from_hub: list[tuple[str, str]]) -> None:
    result = models("pull", "videomae-base")
    assert result.exit_code == 0, result.stderr
    kept = Path(result.stdout.strip())
    assert kept == own_home / "weights" / "videomae-base.safetensors"
    first, second, *rest = result.stderr.splitlines()
    assert first == (
        "videomae-base: https://huggingface.co/some/repo, model.safetensors, about 2 MB"
    )
    assert "CC-BY-NC-4.0: credit the authors; no commercial use" in second
    assert f"sha256 {zoo.sha256(kept)}" in "".join(rest)
    notes = zoo.read_sidecar(kept)
    assert (notes["revision"], notes["sha256_checked"]) == ("c" * 40, True)
    assert notes["licence"] == "CC-BY-NC-4.0"
    assert not (own_home / "downloads" / "x.safetensors").exists()
    again = models("pull", "videomae-base")
    assert again.stdout.strip() == str(kept)
    assert "is already installed; use --again" in again.stderr
    assert from_hub == [("some/repo", "model.safetensors")]
    assert models("pull", "videomae-base", "--again").exit_code == 0
    assert len(from_hub) == 2


def test_damaged_weights_can_be_pulled_again(from_hub: list[tuple[str, str]]) -> None:
    kept = Path(models("pull", "videomae-base").stdout.strip())
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    result = models("pull", "videomae-base")
    assert result.exit_code == 3
    assert "damaged or changed" in result.stderr
    assert result.stderr.endswith("again: `stadkit models pull videomae-base --again`\n")
    assert models("pull", "videomae-base", "--again").exit_code == 0
    assert models("verify").exit_code == 0


def test_damaged_unreleased_weights_can_be_imported_again(own_home: Path) -> None:
    kept = own_home / "weights" / "evad-tiny.safetensors"
    save_weights({"a": torch.zeros(1)}, kept)
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    text = models("pull", "evad-tiny").stderr
    assert text.endswith("again: `stadkit models import FILE --as evad-tiny`\n")


def test_a_file_without_known_sha256_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(Vit(VitConfig(**SHAPE)).state_dict(), tmp_path / "x.safetensors")
    cached = hub.Fetched(tmp_path / "x.safetensors", "c" * 40, False)
    monkeypatch.setattr(hub, "fetch", lambda *_: cached)
    result = models("pull", "videomae-base")
    assert result.exit_code == 0
    assert "note: not verified: the Hub gives no sha256 for this file" in result.stderr


def test_the_licence_is_printed_before_the_download(
    from_hub: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> hub.Fetched:
        raise zoo.weights.WeightsError("no route to host")

    monkeypatch.setattr(hub, "fetch", fails)
    result = models("pull", "videomae-base")
    assert result.exit_code == 3
    lines = result.stderr.splitlines()
    assert "CC-BY-NC-4.0" in lines[1]
    assert lines[2:] == ["stadkit: error: no route to host"]


def test_backbones_are_listed_described_and_verified(from_hub: list[tuple[str, str]]) -> None:
    models("pull", "videomae-base")
    rows = {row["name"]: row for row in json.loads(models("list", "--json").stdout)}
    assert rows["videomae-base"]["weights"] == "here"
    assert rows["videomae-large"]["weights"] == "absent"
    assert rows["videomae-large"]["licence"] == "CC-BY-NC-4.0"
    text = models("info", "videomae-base").stdout
    assert "init: videomae-base" in text
    assert json.loads(models("verify", "--json").stdout)["videomae-base"] == "ok"


def test_an_evad_through_gdown(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = from_drive(monkeypatch, "KEEP_RATE: 0.7")
    result = models("pull", "evad-vit-b")
    assert result.exit_code == 0, result.stderr
    assert requests == [zoo.card("evad-vit-b").drive_id]
    assert f"https://drive.google.com/file/d/{requests[0]}" in result.stderr
    assert "no commercial use" in result.stderr
    kept = Path(result.stdout.strip())
    assert zoo.read_sidecar(kept)["licence"] == "CC-BY-NC-4.0"
    assert not (own_home / "downloads" / requests[0]).exists()
    assert models("verify").exit_code == 0


def test_a_file_with_another_keep_rate_is_kept(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = from_drive(monkeypatch, "KEEP_RATE: 0.6\nENHANCED_WEIGHT: 4")
    result = models("pull", "evad-vit-b")
    assert result.exit_code == 3
    (error,) = (line for line in result.stderr.splitlines() if "error" in line)
    assert "keep rate 0.6, not 0.7" in error
    came = own_home / "downloads" / requests[0]
    assert came.exists()
    assert models("import", came, "--as", "evad-vit-b-keep06").exit_code == 0
    result = models("pull", "evad-vit-b", "--anyway")
    assert result.exit_code == 0
    assert "note: imported as evad-vit-b, although its config says" in result.stderr
    assert len(requests) == 1


def test_again_replaces_a_refused_file(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_drive(monkeypatch, "KEEP_RATE: 0.6\nENHANCED_WEIGHT: 4")
    assert models("pull", "evad-vit-b").exit_code == 3
    requests = from_drive(monkeypatch, "KEEP_RATE: 0.7")
    assert models("pull", "evad-vit-b").exit_code == 3  # the refused file is still there
    assert requests == []
    result = models("pull", "evad-vit-b", "--again")
    assert result.exit_code == 0, result.stderr
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("mestad-nano", 2, "mestad-nano has built-in weights; there is nothing to pull"),
        ("mestad-slowfast-r50", 3, "cannot be pulled: none were released"),
        ("videomae-bass", 2, "unknown model"),
    ],
)
def test_models_that_cannot_be_pulled(name: str, code: int, message: str) -> None:
    result = models("pull", name)
    assert result.exit_code == code
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_concurrent_pulls_are_refused(own_home: Path, from_hub: list[tuple[str, str]]) -> None:
    (own_home / "downloads").mkdir(parents=True)
    with FileLock(own_home / "downloads" / "videomae-base.lock"):
        result = models("pull", "videomae-base")
    assert result.exit_code == 3
    assert "another process is pulling it" in result.stderr
    assert from_hub == []


def test_a_backbone_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    result = CliRunner().invoke(app, ["detect", str(tmp_path / "a.mp4"), "-m", "videomae-base"])
    assert result.exit_code == 2
    assert "to train from it, set `init: videomae-base`" in result.stderr
