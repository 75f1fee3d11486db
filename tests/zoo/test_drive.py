"""Downloads from Google Drive, with gdown replaced by a stub."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stadkit.errors import WeightsError
from stadkit.zoo import drive

Give = Callable[[Path], None]


def checkpoint(path: Path) -> None:
    torch.save({"model_state": {"a": torch.arange(500.0)}}, path)


def page(text: bytes) -> Give:
    return lambda path: [path.write_bytes(b"<!DOCTYPE html><html>" + text), None][1]


@pytest.fixture
def gdown(monkeypatch: pytest.MonkeyPatch) -> Callable[[Give], list[dict[str, Any]]]:
    """gdown(give): a gdown that writes what `give` does; returns the list of its calls."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    def install(give: Give) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def download(**options: Any) -> str | None:
            asked.append(options)
            give(Path(options["output"]))
            return str(options["output"]) if Path(options["output"]).exists() else None

        monkeypatch.setitem(sys.modules, "gdown", SimpleNamespace(download=download))
        return asked

    return install


def fetch(folder: Path, size: int = 0) -> Path:
    return drive.fetch("abc", "evad-vit-b", folder, size)


def test_a_checkpoint_comes_whole(gdown: Any, tmp_path: Path) -> None:
    asked = gdown(checkpoint)
    path = fetch(tmp_path / "d")
    assert path == tmp_path / "d" / "abc"
    assert torch.load(path, weights_only=True)["model_state"]["a"][499] == 499
    assert asked == [{"id": "abc", "output": str(path), "quiet": True, "resume": True}]


def test_again_starts_over(gdown: Any, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def give(path: Path) -> None:
        seen.append([old.name for old in path.parent.iterdir()])
        checkpoint(path)

    gdown(give)
    for name in ("abc", "abcxyz.part", "other"):
        (tmp_path / name).write_bytes(b"old")
    drive.fetch("abc", "evad-vit-b", tmp_path, again=True)
    assert seen == [["other"]]


def short(path: Path) -> None:
    checkpoint(path)
    path.write_bytes(path.read_bytes()[:1500])


def flipped(path: Path) -> None:
    checkpoint(path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(500.0).numpy().tobytes()) + 999] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (page(b"Google Drive - Virus scan warning"), "web page .*virus-scan notice.*not a checkpo"),
        (page(b"Google Drive - Quota exceeded"), "quota notice: try again in a day"),
        (short, "truncated"),
        (flipped, "damaged .checksum of .*data/0"),
        (lambda path: path.touch(), "empty"),
    ],
    ids=["page", "quota", "short", "flipped", "empty"],
)
def test_other_files_are_named_and_deleted(
    gdown: Any, tmp_path: Path, give: Give, message: str
) -> None:
    gdown(give)
    with pytest.raises(WeightsError, match=message) as caught:
        fetch(tmp_path)
    assert "deleted: pull again" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_another_size_than_the_card_says(gdown: Any, tmp_path: Path) -> None:
    gdown(checkpoint)
    with pytest.raises(WeightsError, match=r"of 999999 bytes"):
        fetch(tmp_path, size=999_999)


def test_free_space_is_checked_first(
    gdown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = gdown(checkpoint)
    free = shutil.disk_usage(tmp_path)._replace(free=1_999_999)
    monkeypatch.setattr("stadkit.zoo.storage.shutil.disk_usage", lambda _: free)
    with pytest.raises(
        WeightsError, match=r"not enough disk space .1 MB to download and 1 MB to import, 2 MB"
    ):
        fetch(tmp_path, size=1_000_000)
    assert asked == []


class FileURLRetrievalError(Exception):
    """Stands in for gdown's."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            FileURLRetrievalError("Failed:\n\n\tToo many users have viewed it."),
            "Drive quota is used up",
        ),
        (FileURLRetrievalError("... or have had many accesses."), "Drive quota is used up"),
        (
            ConnectionError("no route\nto host"),
            "could not download it .no route to host.; pull again",
        ),
    ],
)
def test_gdowns_errors_are_one_line(
    gdown: Any, tmp_path: Path, error: Exception, message: str
) -> None:
    def fails(path: Path) -> None:
        Path(f"{path}xyz.part").write_bytes(b"PK\x03\x04")
        raise error

    gdown(fails)
    with pytest.raises(WeightsError, match=message) as caught:
        fetch(tmp_path)
    text = str(caught.value)
    assert "\n" not in text
    assert "https://drive.google.com/file/d/abc" in text
    assert "stadkit models import FILE --as evad-vit-b" in text
    assert (tmp_path / "abcxyz.part").exists()  # gdown resumes from it


def test_gdown_5_gives_nothing_for_two_parts(gdown: Any, tmp_path: Path) -> None:
    gdown(lambda path: None)
    with pytest.raises(WeightsError, match=r"gdown returned no file; delete .*abc\*\.part"):
        fetch(tmp_path)


def test_missing_gdown_gives_the_command_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setitem(sys.modules, "gdown", None)  # as if it were not installed
    with pytest.raises(
        WeightsError, match=r"`pip install 'gdown>=5'`, or download https"
    ) as caught:
        fetch(tmp_path)
    assert caught.value.exit_code == 3


def test_offline_downloads_nothing(
    gdown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = gdown(checkpoint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"offline mode is on .*HF_HUB_OFFLINE."):
        fetch(tmp_path)
    assert asked == []
