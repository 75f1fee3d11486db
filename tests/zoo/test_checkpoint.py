"""Untrusted files are read or described; no code in them runs."""

import os
import pickle
import sys
import warnings
import zipfile
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from stadkit.errors import WeightsError
from stadkit.zoo import checkpoint, read_checkpoint
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
    ("content", "message"),
    [
        (b"", r"empty \(0 bytes\)"),
        (DRIVE, "web page .*Google Drive's virus-scan notice.*, not a checkpoint"),
        (b"\xef\xbb\xbf\n<html>404", "web page, not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n", "git lfs pull"),
        (b"\x1f\x8b\x08\x00rest", "gzip"),
        (pickle.dumps({"a": 1}), "a pickle without"),
        (b"hello", "not a safetensors, torch or Caffe2 checkpoint"),
        (b"PK\x03\x04" + b"x" * 100, "truncated"),
    ],
)
def test_other_files_are_described(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        read_checkpoint(path)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / "x.pth"
    many = {f"w{i}": torch.full((100,), float(i)) for i in range(10)}
    if kind == "safetensors":
        save_file(many, path)
    else:
        torch.save(many, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match="truncated"):
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
    with pytest.raises(WeightsError, match=r"refuses to run \w+\.mkdir"):
        read_checkpoint(path)
    assert not canary.exists()


class Config(dict[str, int]):
    """Like yacs' CfgNode: a custom class beside the weights."""


def test_a_class_beside_the_weights_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({"model": TENSORS, "cfg": Config(a=1)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"it holds \S*Config, and loading"):
        read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_command_line_options_beside_the_weights_are_ignored(tmp_path: Path, new: bool) -> None:
    path = tmp_path / "x.pth"
    held = {"model": TENSORS, "args": Namespace(lr=1, name="x")}
    torch.save(held, path, _use_new_zipfile_serialization=new)
    assert read_checkpoint(path).keys() == TENSORS.keys()
    canary = tmp_path / "canary"
    torch.save({"model": TENSORS, "args": Namespace(a=Evil(canary))}, path)
    with pytest.raises(WeightsError, match="refused"):
        read_checkpoint(path)
    assert not canary.exists()


@pytest.fixture
def alphaction(monkeypatch: pytest.MonkeyPatch) -> Callable[..., type[Any]]:
    """alphaction(name, module): a class like AlphAction's, removed before the file is read."""

    def make(
        name: str = "MemoryPool", module: str = "alphaction.structures.memory_pool"
    ) -> type[Any]:
        kind = type(name, (), {"__module__": module, "__init__": set_cache})
        parts = module.split(".")
        for i in range(len(parts)):
            monkeypatch.setitem(sys.modules, ".".join(parts[: i + 1]), ModuleType(parts[i]))
        setattr(sys.modules[module], name, kind)
        return kind

    return make


def set_cache(self: Any, held: Any = None) -> None:
    self.cache = defaultdict(dict, {} if held is None else {"video": {902: held}})


def periodic(path: Path, pool: Any, new: bool = True) -> Path:
    """A file as STMixer's trainer saves it during training."""
    held: dict[str, Any] = {
        "model": {f"module.{name}": value for name, value in TENSORS.items()},
        "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "scheduler": {"milestones": Counter([5, 8]), "last_epoch": 2},
        "iteration": 11524,
        "person_pool": pool,
    }
    torch.save(held, path, _use_new_zipfile_serialization=new)
    for name in [name for name in sys.modules if name.split(".")[0] == "alphaction"]:
        del sys.modules[name]
    return path


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_pool_of_people_beside_the_weights_is_ignored(
    tmp_path: Path, alphaction: Callable[..., type[Any]], new: bool
) -> None:
    for held in (None, torch.ones(3, 4)):
        path = periodic(tmp_path / "model_0011524.pth", alphaction()(held), new)
        assert b"alphaction.structures.memory_pool" in path.read_bytes()
        read = read_checkpoint(path)
        assert read.keys() == TENSORS.keys()
        assert torch.equal(read["a.weight"], TENSORS["a.weight"])


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_code_in_a_pool_of_people_does_not_run(
    tmp_path: Path, alphaction: Callable[..., type[Any]], new: bool
) -> None:
    canary = tmp_path / "canary"
    path = periodic(tmp_path / "x.pth", alphaction()(Evil(canary)), new)
    with pytest.raises(WeightsError, match=r"refused, it holds \w+\.mkdir"):
        read_checkpoint(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    "names",
    [
        ("Other", "alphaction.structures.memory_pool"),
        ("MemoryPool", "alphaction.structures.other"),
    ],
)
def test_no_other_class_of_alphaction_is_read(
    tmp_path: Path, alphaction: Callable[..., type[Any]], names: tuple[str, str]
) -> None:
    path = periodic(tmp_path / "x.pth", alphaction(*names)())
    with pytest.raises(WeightsError, match=rf"it holds {names[1]}\.{names[0]}, and loading"):
        read_checkpoint(path)


def test_a_replaced_class_keeps_nothing(
    tmp_path: Path, alphaction: Callable[..., type[Any]]
) -> None:
    pool = alphaction()()
    pool.__dict__ |= {"__class__": 1, "get": 2, "weight": torch.ones(1)}
    path = periodic(tmp_path / "x.pth", {"pool": pool})
    with torch.serialization.safe_globals(checkpoint.SAFE_GLOBALS):
        held = torch.load(path, weights_only=True)["person_pool"]["pool"]
    assert vars(held) == {}
    assert read_checkpoint(path).keys() == TENSORS.keys()


def test_allowed_globals_are_reset_afterwards(
    tmp_path: Path, alphaction: Callable[..., type[Any]]
) -> None:
    path = periodic(tmp_path / "x.pth", alphaction()())
    read_checkpoint(path)
    with pytest.raises(pickle.UnpicklingError, match="alphaction"):
        torch.load(path, weights_only=True)


class Taken:
    """Unpickling this gets the attribute `name` of an object, and calls it if `called` is given."""

    def __init__(self, thing: Any, name: str, *called: Any) -> None:
        self.thing, self.name, self.called = thing, name, called

    def __reduce__(self) -> tuple[Any, ...]:
        if self.called:
            return Taken(self.thing, self.name), self.called
        return getattr, (self.thing, self.name)

    def __call__(self) -> None: ...


def test_an_attribute_beside_the_weights_is_not_looked_up(tmp_path: Path) -> None:
    """mmengine's HistoryBuffer refers to its own class in its state."""
    beside = Taken(torch.ones(3), "shape")
    torch.save({"model": TENSORS, "beside": beside}, tmp_path / "x.pth")
    with torch.serialization.safe_globals(checkpoint.SAFE_GLOBALS):
        assert torch.load(tmp_path / "x.pth", weights_only=True)["beside"] is None
    assert read_checkpoint(tmp_path / "x.pth").keys() == TENSORS.keys()


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_what_getattr_finds_does_not_run(tmp_path: Path, new: bool) -> None:
    path, canary = tmp_path / "x.pth", tmp_path / "canary"
    # Methods of allowed classes, and a system function behind a refused name.
    for evil in (
        Taken(torch.ones(300), "tofile", str(canary)),
        Taken(dict, "fromkeys", [str(canary)]),
        Taken(Taken(torch.Tensor, "__init__"), "__globals__"),
        Taken(Evil(canary), "name"),
    ):
        torch.save({"model": TENSORS, "x": evil}, path, _use_new_zipfile_serialization=new)
        assert b"getattr" in path.read_bytes()
        if evil.called or isinstance(evil.thing, Evil):
            with pytest.raises(WeightsError, match="refused"):
                read_checkpoint(path)
        else:
            assert read_checkpoint(path).keys() == TENSORS.keys()
        assert not canary.exists()


class Wrong:
    """Unpickling this calls dict(3), which is invalid."""

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (3,)


def test_an_invalid_pickle_gives_one_line(tmp_path: Path) -> None:
    torch.save({"model": TENSORS, "beside": Wrong()}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="damaged or truncated"):
        read_checkpoint(tmp_path / "x.pth")


def test_safetensors_whose_header_is_as_long_as_a_pickle_starts(tmp_path: Path) -> None:
    # 128 bytes of header: the file starts with \x80, as pickles do.
    save_file({"w" * 60: torch.ones(1)}, tmp_path / "x.safetensors")
    content = (tmp_path / "x.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size].rstrip().ljust(128)
    whole = (128).to_bytes(8, "little") + header + content[8 + size :]
    (tmp_path / "x.safetensors").write_bytes(whole)
    assert whole[:1] == b"\x80"
    assert list(read_checkpoint(tmp_path / "x.safetensors")) == ["w" * 60]


def test_a_config_text_is_read_with_the_weights(tmp_path: Path) -> None:
    torch.save({"model_state": TENSORS, "cfg": "A: 1\n"}, tmp_path / "x.pth")
    assert read_with_config(tmp_path / "x.pth")[1] == "A: 1\n"
    torch.save({"model_state": TENSORS, "cfg": {"A": 1}}, tmp_path / "x.pth")
    assert read_with_config(tmp_path / "x.pth")[1] == ""
    save_file(TENSORS, tmp_path / "x.pth")
    assert read_with_config(tmp_path / "x.pth")[1] == ""


def test_a_checkpoint_without_weights_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="not tensors: epoch, lr"):
        read_checkpoint(tmp_path / "x.pth")


def packed(path: Path, method: int) -> bytes:
    """TENSORS as torch saves them, with the zip members compressed by this method."""
    torch.save(TENSORS, path)
    parts = zipfile.ZipFile(path)
    with parts, zipfile.ZipFile(path.with_suffix(".zip"), "w", method) as archive:
        for name in parts.namelist():
            archive.writestr(name, parts.read(name))
    return path.with_suffix(".zip").read_bytes()


def test_no_flipped_bit_of_an_archive_gives_other_numbers_or_a_traceback(tmp_path: Path) -> None:
    path, refused = tmp_path / "x.pth", 0
    whole = packed(path, zipfile.ZIP_STORED)
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x10]) + whole[i + 1 :])
        try:
            read = read_checkpoint(path)
        except WeightsError as error:
            refused += "\n" not in str(error)
        else:
            assert read.keys() == TENSORS.keys()
            assert all(torch.equal(read[name], value) for name, value in TENSORS.items())
    assert refused > len(whole) / 3  # the other bits are dates etc.


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(packed(path, zipfile.ZIP_DEFLATED))
    with pytest.raises(WeightsError, match="a compressed zip archive; repack it with"):
        read_checkpoint(path)


def test_a_torchscript_program_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in some versions of torch
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with pytest.raises(WeightsError, match="a TorchScript program, not a dict of tensors; ask"):
        read_checkpoint(path)


def test_a_folder_and_a_pipe_are_no_checkpoints(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(WeightsError, match="not a regular file"):
            read_checkpoint(path)
    with pytest.raises(WeightsError, match="no such file"):
        read_checkpoint(tmp_path / "gone")
