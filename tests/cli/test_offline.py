"""`--offline` and HF_HUB_OFFLINE open no socket; without them only `pull` does."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from typer.testing import CliRunner, Result

from stadkit import zoo
from stadkit.cli.app import app
from stadkit.zoo import storage
from stadkit.zoo.weights import candidate_paths, save_weights

SOURCES = {  # one name per download method
    "evad-vit-b": "Google Drive",
    "videomae-base": "the Hub",
    "slowfast-r50-k400": "an address, of a backbone",
    "stmixer-k-vit-b": "an address, of a model",
}


class Touched(AssertionError):
    """Raised when the network is used."""


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Opening a socket or resolving a name fails and is recorded, since the error may be caught."""
    touched: list[str] = []

    def refuse(name: str) -> Any:
        def fails(*_: Any, **__: Any) -> NoReturn:
            touched.append(name)
            raise Touched(name)

        return fails

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse(name))
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # restored after --offline
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    card = replace(zoo.card("stmixer-k-vit-b"), url="https://example.org/x.pth")
    monkeypatch.setitem(zoo.CARDS, "stmixer-k-vit-b", card)
    return touched


def stadkit(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.mark.parametrize("name", SOURCES)
def test_pull_offline_uses_no_network(name: str, no_network: list[str]) -> None:
    result = stadkit("models", "pull", name, "--offline")
    assert result.exit_code == 3
    assert "offline mode is on (--offline or HF_HUB_OFFLINE)" in result.stderr
    assert "Traceback" not in result.stderr
    assert no_network == []
    assert os.environ["HF_HUB_OFFLINE"] == "1"  # for child processes


@pytest.mark.parametrize("name", SOURCES)
def test_the_variable_alone_suffices(
    name: str, no_network: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # as set by the variable
    assert stadkit("models", "pull", name).exit_code == 3
    assert no_network == []


def test_installed_weights_need_no_network(no_network: list[str]) -> None:
    save_weights({"a": torch.zeros(1)}, candidate_paths("videomae-base")[1])
    result = stadkit("models", "pull", "videomae-base", "--offline")
    assert (result.exit_code, result.stdout.strip()) == (
        0,
        str(candidate_paths("videomae-base")[1]),
    )
    assert no_network == []


def test_the_block_works(no_network: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --offline a pull uses the network, so the other tests can fail."""
    monkeypatch.setattr("stadkit.zoo.http.time.sleep", lambda _: None)
    with pytest.raises(Touched):
        zoo.pull("stmixer-k-vit-b")
    assert no_network != []


def test_missing_weights_use_no_network(tmp_path: Path, no_network: list[str]) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    result = stadkit("detect", tmp_path / "a.mp4", "-m", "evad-vit-b", "--offline")
    assert result.exit_code == 3
    assert "no weights for evad-vit-b" in result.stderr
    assert no_network == []


def test_detect_offline(make_video: Any, tmp_path: Path, no_network: list[str]) -> None:
    result = stadkit(
        "detect", make_video("a.mp4", 1), "--offline", "-o", tmp_path / "out", "--every", "1"
    )
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "out" / "a.csv").exists()
    assert storage.is_offline()
    assert no_network == []


def test_a_cluster_counts_as_network(tmp_path: Path, no_network: list[str]) -> None:
    """Ray's workers on this machine do not: they use local sockets."""
    (tmp_path / "a.mp4").write_bytes(b"x")
    detect = ("detect", tmp_path / "a.mp4", "--offline", "--engine", "ray", "-m", "evad-vit-b")
    result = stadkit(*detect, "--address", "head:6379")
    assert result.exit_code == 2
    assert "--address: offline mode is on (--offline or HF_HUB_OFFLINE)" in result.stderr
    assert "offline" not in stadkit(*detect).stderr
    assert no_network == []


@pytest.mark.parametrize(
    "verb",
    [
        ("models", "list"),
        ("models", "verify"),
        ("models", "info", "videomae-base"),
        ("models", "export", "mestad-nano", "-o", "x.safetensors"),
    ],
)
def test_no_other_command_uses_the_network(
    verb: tuple[str, ...], no_network: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert stadkit(*verb).exit_code == 0
    assert no_network == []
