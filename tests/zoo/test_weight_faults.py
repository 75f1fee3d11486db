"""Faults 12 to 16: weights that are missing, malicious, not weights, damaged, or another model's.

Each through the door that a user has: `stadkit models import` and what loads weights. Fault 17 is
in `test_pull_faults.py`.
"""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from helpers import made_evad
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner, Result

import stadkit
from stadkit import zoo
from stadkit.cli.app import app
from stadkit.errors import WeightsError
from stadkit.zoo.weights import save_weights

NAME = "evad-vit-b"  # a small one
BIAS = "decoder.blocks.0.action_logits.bias"
Weights = dict[str, Tensor]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One small model is enough to compare files with."""
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(zoo.CARDS, NAME, made_evad.small(NAME))
    monkeypatch.setattr("stadkit.zoo.importing.CARDS", {NAME: zoo.card(NAME)})
    return tmp_path / "home"


@pytest.fixture(scope="module")
def weights() -> Weights:
    return made_evad.weights(made_evad.small(NAME))


def bring(path: Path) -> Result:
    """Run `stadkit models import`; a refusal is one line, and nothing is stored."""
    result = CliRunner().invoke(app, ["models", "import", str(path), "--as", NAME])
    if result.exit_code:
        assert result.exit_code == 3, result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert "Traceback" not in result.stderr
        assert "weights_only" not in result.stderr
        assert zoo.state(NAME) == "absent"
    return result


def save(path: Path, held: Any, new: bool = True) -> Path:
    torch.save(held, path, _use_new_zipfile_serialization=new)
    return path


def test_12_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = replace(
        zoo.card(NAME),
        url="https://example.org/nano.pth",
        file="nano.pth",
        size=5_000_000,
        sha256_prefix="0dae1a90",
        licence="Apache-2.0",
    )
    monkeypatch.setitem(zoo.CARDS, NAME, card)
    (tmp_path / "a.mp4").write_bytes(b"x")
    result = CliRunner().invoke(app, ["detect", str(tmp_path / "a.mp4"), "-m", NAME])
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 1
    for told in (
        f"no weights for {NAME}",
        "sha256 0dae1a90",
        "5 MB",
        "https://example.org/nano.pth",
        "licence: Apache-2.0",
        f"`stadkit models pull {NAME}`",
        f"`stadkit models import FILE --as {NAME}`",
    ):
        assert told in result.stderr
    # Offline: tests/cli/test_offline.py.


class Evil:
    """Unpickling this makes a folder by `os.system`."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"mkdir {self.canary}",)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_13_evil_pickle(tmp_path: Path, weights: Weights, kind: str) -> None:
    path, canary = tmp_path / "x.pth", tmp_path / "canary"
    held = {"model": weights, "args": Evil(canary)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Evil(canary)))
    else:
        save(path, held, kind == "zip")
    told = bring(path)
    assert told.exit_code == 3
    assert ".system" in told.stderr
    assert not canary.exists()


PAGE = b"<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PAGE, "a web page (Google Drive's virus-scan notice), not a checkpoint"),
        (POINTER, "a Git LFS pointer, not the file"),
        (b"", "empty (0 bytes)"),
    ],
    ids=["page", "pointer", "empty"],
)
def test_14_other_files(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    assert told in bring(tmp_path / "x.pth").stderr


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_14_a_truncated_file(tmp_path: Path, weights: Weights, kind: str) -> None:
    path = tmp_path / "x.pth"
    if kind == "safetensors":
        save_file(weights, path)
    else:
        save(path, weights, kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "truncated" in bring(path).stderr


def test_14_wrong_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("notes.txt", "no weights")
    assert "a zip archive, but not a torch checkpoint" in bring(tmp_path / "x.pth").stderr


def flip(path: Path, inside: bytes) -> None:
    """Flip one bit of the file, in the middle of these bytes."""
    content = bytearray(path.read_bytes())
    content[content.index(inside) + len(inside) // 2] ^= 1
    path.write_bytes(content)


def test_15_one_flipped_byte(tmp_path: Path, weights: Weights) -> None:
    tensor = max(weights.values(), key=Tensor.numel).contiguous().numpy().tobytes()
    path = save(tmp_path / "x.pth", weights)
    assert bring(path).exit_code == 0
    kept = zoo.find_weights(NAME)
    flip(kept, tensor)
    with pytest.raises(WeightsError, match=r"damaged or changed .sha256 "):
        stadkit.load(NAME)
    assert CliRunner().invoke(app, ["models", "verify"]).exit_code == 3
    kept.unlink()
    flip(path, tensor)
    torch.load(path, weights_only=True)  # torch does not notice
    assert "damaged (checksum of x/data/" in bring(path).stderr


def test_15_a_file_without_checksums_is_read(tmp_path: Path, weights: Weights) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = save(tmp_path / "x.pth", weights)
    finally:
        torch.serialization.set_crc32_options(True)
    assert bring(path).exit_code == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_15_nan_and_infinity(tmp_path: Path, weights: Weights, bad: float) -> None:
    name = next(name for name, value in weights.items() if value.is_floating_point())
    broken = {**weights, name: torch.full_like(weights[name], bad)}
    told = bring(save(tmp_path / "x.pth", broken)).stderr
    assert f"NaN or infinity in 1 tensor ({name})" in told


def test_15_a_full_disk_leaves_nothing(tmp_path: Path, weights: Weights) -> None:
    resource = pytest.importorskip("resource", reason="no limits on this system")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(WeightsError, match=r"cannot be written .*free some space"):
            save_weights(weights, tmp_path / "w" / "x.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "w").iterdir()) == []


def test_16_another_model(tmp_path: Path) -> None:
    linear = {f"fc{i}.weight": torch.ones(2) for i in range(9)}
    told = bring(save(tmp_path / "x.pth", linear)).stderr
    assert f"is not {NAME}: " in told
    missing, _, extra = told.partition("; ")
    assert missing.count(",") == extra.partition(")")[0].count(",") == 5  # five names and "..."
    assert "9 unexpected (fc0.weight, fc1.weight, fc2.weight, fc3.weight, fc4.weight, ...)" in extra
    assert "nothing was imported" in told


def test_16_another_number_of_classes(tmp_path: Path, weights: Weights) -> None:
    other = {**weights, BIAS: torch.zeros(24)}
    told = bring(save(tmp_path / "x.pth", other)).stderr
    assert f"1 of another shape ({BIAS} is [24] for [80])" in told


def test_16_missing_and_extra_keys(tmp_path: Path, weights: Weights) -> None:
    other = {**weights, "more": torch.zeros(1)}
    del other[BIAS]
    told = bring(save(tmp_path / "x.pth", other)).stderr
    assert f"1 missing ({BIAS}); 1 unexpected (more)" in told


@pytest.fixture
def config_class(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], type[Any]]:
    """A CfgNode class of that module, removed before the file is read."""

    def make(module: str) -> type[Any]:
        kind = type("CfgNode", (dict,), {"__module__": module})
        for depth in range(module.count(".") + 1):
            whole = module.rsplit(".", depth)[0]
            monkeypatch.setitem(sys.modules, whole, ModuleType(whole))
        sys.modules[module].__dict__["CfgNode"] = kind
        return kind

    return make


WRAPPED: dict[str, Callable[[Weights], Any]] = {
    "module": lambda w: {"model": {f"module.{name}": value for name, value in w.items()}},
    "ddp": lambda w: {f"module.{name}": value for name, value in w.items()},
    "ema": lambda w: {"ema": {"module": w}, "epoch": 3},
    "ema beside": lambda w: {"model": w, "model_ema": {k: v + 1 for k, v in w.items()}},
    "ordered": lambda w: {"state_dict": OrderedDict(w), "meta": {"epoch": 3}},
    "namespace": lambda w: {"model": w, "args": Namespace(lr=1.0, path="x")},
    "scalar": lambda w: {"model": w, "best": np.float64(0.3), "last": np.float32(0.2)},
    "array": lambda w: {"model": w, "history": np.arange(3)},
}


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", WRAPPED)
def test_16_wrapped_or_beside(tmp_path: Path, weights: Weights, kind: str, new: bool) -> None:
    path = save(tmp_path / "x.pth", WRAPPED[kind](weights), new)
    assert bring(path).exit_code == 0
    kept = stadkit.zoo.weights.read_safetensors(zoo.find_weights(NAME))
    assert kept.keys() == weights.keys()
    assert all(torch.equal(kept[name], value) for name, value in weights.items())


@pytest.mark.parametrize("module", ["yacs.config", "fvcore.common.config"])
def test_16_a_config_node(
    tmp_path: Path, weights: Weights, config_class: Callable[[str], type[Any]], module: str
) -> None:
    kind = config_class(module)
    node = kind({"TRAIN": kind({"LR": 0.1})})
    node.__dict__["_immutable"] = True
    path = save(tmp_path / "x.pth", {"model": weights, "cfg": node})
    for name in [name for name in sys.modules if name.split(".")[0] in ("yacs", "fvcore")]:
        del sys.modules[name]
    assert bring(path).exit_code == 0
    assert zoo.state(NAME) == "here"
