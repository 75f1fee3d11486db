"""Locating the videos of annotated data."""

from pathlib import Path

import pytest

from stadkit.errors import UsageError
from stadkit.training.clips import video_paths
from stadkit.training.config import AnnotatedSource


def source(folder: Path) -> AnnotatedSource:
    return AnnotatedSource(truth=folder / "t.csv", labels=folder / "l.txt", videos=folder)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_videos_in_folders_of_actions(tmp_path: Path) -> None:
    a, b = touch(tmp_path / "jump" / "a.avi"), touch(tmp_path / "run" / "b.mp4")
    touch(tmp_path / "run" / "a.txt")
    assert video_paths(source(tmp_path), ["a", "b"]) == {"a": a, "b": b}


def test_the_least_nested_video_wins(tmp_path: Path) -> None:
    a, b = touch(tmp_path / "a.avi"), touch(tmp_path / "run" / "b.avi")
    touch(tmp_path / "old" / "a.avi")
    touch(tmp_path / "run" / "old" / "b.avi")
    assert video_paths(source(tmp_path), ["a", "b"]) == {"a": a, "b": b}


def test_missing_videos_are_named(tmp_path: Path) -> None:
    touch(tmp_path / "jump" / "a.avi")
    with pytest.raises(UsageError, match=r"no video 'c' \(missing: 1 of 2 videos"):
        video_paths(source(tmp_path), ["a", "c"])
