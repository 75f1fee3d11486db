"""Expansion of input arguments to video files."""

import os
from pathlib import Path

import pytest

from stadkit.errors import UsageError
from stadkit.runs.inputs import MAX_NAME_BYTES, gather, plain


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/x.mp4", "a/notes.md", "a/deep/Y.MKV", "b/x.mp4", "[c].mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(*inputs: Path | str) -> list[str]:
    return [item.name for item in gather(map(str, inputs))]


def test_files_folders_and_globs(folder: Path) -> None:
    assert names(folder / "a" / "x.mp4") == ["x"]
    assert names(folder / "a") == ["Y", "x"]
    assert names(f"{folder}/**/*.MKV") == ["Y"]
    assert names(folder / "[c].mp4") == ["[c]"]  # an existing file wins over a glob


def test_a_list_is_relative_to_itself(folder: Path) -> None:
    (folder / "list.txt").write_text("# mine\n\na/x.mp4\n b/x.mp4 \n")
    found = gather([str(folder / "list.txt")])
    assert [item.path for item in found] == [folder / "a" / "x.mp4", folder / "b" / "x.mp4"]


def test_equal_stems_get_unique_names_and_duplicates_are_dropped(folder: Path) -> None:
    os.symlink(folder / "a" / "x.mp4", folder / "link.mp4")
    assert names(folder / "a" / "x.mp4", folder / "b" / "x.mp4") == ["x", "x-2"]
    assert names(folder / "a" / "x.mp4", folder / "a" / ".." / "a" / "x.mp4") == ["x"]
    assert names(folder / "a" / "x.mp4", folder / "link.mp4") == ["x"]


def test_names_are_unique_without_case(folder: Path) -> None:
    (folder / "b" / "X.mp4").write_bytes(b"x")
    assert names(folder / "a" / "x.mp4", folder / "b" / "X.mp4") == ["x", "X-2"]


def test_missing_files_are_kept(folder: Path) -> None:
    assert names(folder / "gone.mp4", folder / "a" / "x.mp4") == ["gone", "x"]


@pytest.mark.parametrize("what", ["empty", "*.webm", "list.txt"])
def test_no_video_at_all_is_an_error(folder: Path, what: str) -> None:
    (folder / "empty").mkdir()
    (folder / "list.txt").write_text("# nothing\n")
    with pytest.raises(UsageError, match=r"no video|matches no file"):
        gather([str(folder / what)])


def test_names_are_safe_for_any_file_system() -> None:
    assert plain("a\nb") == "a_b"
    assert plain("-5KQ66BBWC4") == "-5KQ66BBWC4"
    long = plain("é" * 120)
    assert len(long.encode()) <= MAX_NAME_BYTES + 9
    assert long != plain("é" * 121)
    assert plain("a\udcff") == "a_"
