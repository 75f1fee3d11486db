"""Pulling released weights, with the downloaders replaced."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import made_slowfast, made_stmixer

from stadkit import zoo
from stadkit.errors import WeightsError
from stadkit.zoo import http, pulling
from stadkit.zoo.backbones import BACKBONES
from stadkit.zoo.dialects import official
from stadkit.zoo.fitting import misfit_of


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return tmp_path / "home"


def test_a_slowfast_at_its_address(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = BACKBONES["slowfast-r50-k400"]
    monkeypatch.setitem(
        zoo.BACKBONES, "slowfast-r50-k400", replace(known, settings=made_slowfast.SHAPE)
    )
    asked: list[tuple[str, bool]] = []

    def fetch(url: str, name: str, folder: Path, again: bool) -> Path:
        asked.append((url, again))
        folder.mkdir(parents=True, exist_ok=True)
        return made_slowfast.caffe2(folder / "x.pkl", made_slowfast.weights())

    monkeypatch.setattr(http, "fetch", fetch)
    kept = zoo.pull("slowfast-r50-k400")
    url = "https://dl.fbaipublicfiles.com/pyslowfast/model_zoo/kinetics400/SLOWFAST_8x8_R50.pkl"
    assert asked == [(url, False)]
    notes = zoo.read_sidecar(kept)
    assert (notes["source"], notes["licence"], notes["sha256_checked"]) == (
        *(url, "Apache-2.0"),
        False,
    )
    assert notes["told"][0] == "not verified: no sha256 was released with this file"
    assert list((own_home / "downloads").glob("*.pkl")) == []
    assert misfit_of({}, "slowfast-r50-k400")
    assert zoo.state("slowfast-r50-k400") == "here"


def test_where_a_slowfast_comes_from() -> None:
    zoo_of = "https://dl.fbaipublicfiles.com/pyslowfast/model_zoo"
    assert pulling.source("slowonly-r50-k400") == f"{zoo_of}/kinetics400/SLOWONLY_4x16_R50.pkl"
    assert pulling.source("slowfast-r101-nl-k600") == (
        f"{zoo_of}/ava/pretrain/SLOWFAST_32x2_R101_50_50.pkl"
    )
    assert pulling.licence("slowonly-r50-k400") == "Apache-2.0"
    with pytest.raises(
        WeightsError, match=r"`stadkit models pull slowonly-r50-k400` downloads them"
    ):
        zoo.find_weights("slowonly-r50-k400")


def test_an_stmixer_from_drive(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file as its trainer saves it, with the licence "none stated"."""
    name = "stmixer-k-slowonly-r50"
    card = made_stmixer.small(name)
    monkeypatch.setitem(zoo.CARDS, name, card)
    wanted = zoo.build(name).state_dict()

    def download(id: str, output: str, **_: Any) -> str:
        theirs = official.to_official(wanted, "stmixer-k")
        torch.save({"model": theirs, "optimizer": {}, "scheduler": {}, "iteration": 1}, output)
        return output

    monkeypatch.setitem(sys.modules, "gdown", SimpleNamespace(download=download))
    kept = zoo.pull(name)
    notes = zoo.read_sidecar(kept)
    page = f"https://drive.google.com/file/d/{card.drive_id}"
    assert (notes["source"], notes["licence"], notes["told"]) == (page, "none stated", [])
    assert pulling.source(name) == page
    assert not (own_home / "downloads" / card.drive_id).exists()
    model = zoo.build(name)
    zoo.load_weights(model, kept)
    assert all(torch.equal(v, wanted[k]) for k, v in model.state_dict().items())
