"""Files that strangers give: read, or named for what they are; nothing in them runs."""

import os
import pickle
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from stadkit.errors import WeightsError
from stadkit.zoo import read_checkpoint
from stadkit.zoo.checkpoint import read_with_config

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


class Evil:
    """Unpickling this makes a folder."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "model_state", "module", "ema", None])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_wrappers_and_prefixes_come_off(
    tmp_path: Path, wrapper: str | None, prefix: str, new: bool
) -> None:
    held: dict[str, Any] = {prefix + name: value for name, value in TENSORS.items()}
    path = tmp_path / "x.pth"
    whole = {wrapper: held, "epoch": 3} if wrapper else held
    torch.save(whole, path, _use_new_zipfile_serialization=new)
    read = read_checkpoint(path)
    assert read.keys() == TENSORS.keys()
    assert torch.equal(read["a.weight"], TENSORS["a.weight"])


def test_safetensors_under_any_name(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth").keys() == TENSORS.keys()


DRIVE = b"<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"empty \(0 bytes\)"),
        (DRIVE, "web page .*Google Drive's virus-scan notice.*, not a checkpoint"),
        (b"\xef\xbb\xbf\n<html>404", "web page, not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n", "git lfs pull"),
        (b"\x1f\x8b\x08\x00rest", "gzip"),
        (pickle.dumps({"blobs": {}}), "plain pickle"),
        (b"hello", "not a safetensors or torch checkpoint"),
        (b"PK\x03\x04" + b"x" * 100, "cut short"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=told) as caught:
        read_checkpoint(path)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_cut_short_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / "x.pth"
    many = {f"w{i}": torch.full((100,), float(i)) for i in range(10)}
    if kind == "safetensors":
        save_file(many, path)
    else:
        torch.save(many, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match="cut short"):
        read_checkpoint(path)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, new: bool) -> None:
    path, canary = tmp_path / "x.pth", tmp_path / "canary"
    torch.save({"model": Evil(canary)}, path, _use_new_zipfile_serialization=new)
    with pytest.raises(WeightsError, match="refused") as caught:
        read_checkpoint(path)
    assert not canary.exists()
    assert "weights_only" not in str(caught.value)
    assert "mkdir" in str(caught.value)


def test_a_plain_evil_pickle_does_not_run(tmp_path: Path) -> None:
    path, canary = tmp_path / "x.pth", tmp_path / "canary"
    path.write_bytes(pickle.dumps(Evil(canary)))
    with pytest.raises(WeightsError, match="can run code"):
        read_checkpoint(path)
    assert not canary.exists()


class Config(dict[str, int]):
    """As yacs' CfgNode: a class of its own beside the weights."""


def test_a_class_beside_the_weights_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({"model": TENSORS, "cfg": Config(a=1)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"it holds \S*Config, and loading"):
        read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_command_line_options_beside_the_weights_are_not(tmp_path: Path, new: bool) -> None:
    path = tmp_path / "x.pth"
    held = {"model": TENSORS, "args": Namespace(lr=1, name="x")}
    torch.save(held, path, _use_new_zipfile_serialization=new)
    assert read_checkpoint(path).keys() == TENSORS.keys()
    canary = tmp_path / "canary"
    torch.save({"model": TENSORS, "args": Namespace(a=Evil(canary))}, path)
    with pytest.raises(WeightsError, match="refused"):
        read_checkpoint(path)
    assert not canary.exists()


def test_a_config_in_words_comes_with_the_weights(tmp_path: Path) -> None:
    torch.save({"model_state": TENSORS, "cfg": "A: 1\n"}, tmp_path / "x.pth")
    assert read_with_config(tmp_path / "x.pth")[1] == "A: 1\n"
    torch.save({"model_state": TENSORS, "cfg": {"A": 1}}, tmp_path / "x.pth")
    assert read_with_config(tmp_path / "x.pth")[1] == ""
    save_file(TENSORS, tmp_path / "x.pth")
    assert read_with_config(tmp_path / "x.pth")[1] == ""


def test_a_checkpoint_without_weights_is_told(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="epoch, lr is something else"):
        read_checkpoint(tmp_path / "x.pth")


def test_a_folder_and_a_pipe_are_no_checkpoints(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(WeightsError, match="not a file"):
            read_checkpoint(path)
    with pytest.raises(WeightsError, match="no such file"):
        read_checkpoint(tmp_path / "gone")
