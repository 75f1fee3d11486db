"""`stadkit detect --save-tokens`: a folder of images among the results."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from stadkit.cli.app import app
from stadkit.detection import Detector
from stadkit.runs.pictures import remove

MakeVideo = Callable[..., Path]
Stadkit = Callable[..., Result]
FOLDER = Path("out/a.tokens")


@pytest.fixture
def stadkit(pruning_detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stadkit:
    """Run `stadkit detect --save-tokens -o out` with these arguments, in a temporary folder."""
    monkeypatch.setattr("stadkit.detection.load", lambda *args: pruning_detector)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path, option: str = "--save-tokens") -> Result:
        command = [*map(str, arguments), "-o", "out", option]
        return CliRunner().invoke(app, ["detect", *(x for x in command if x)])

    return run


def entry() -> dict[str, Any]:
    held: dict[str, Any] = json.loads(Path("out/manifest.json").read_text())["videos"]["a"]
    return held


def test_each_keyframe_has_an_image(stadkit: Stadkit, make_video: MakeVideo) -> None:
    result = stadkit(make_video("a.mp4", seconds=1.2), "--every", "0.5")
    assert result.exit_code == 0, result.stderr
    names = ["0.000.png", "0.500.png", "1.000.png"]
    assert sorted(os.listdir(FOLDER)) == names
    pictures = [cv2.imread(str(FOLDER / name)) for name in names]
    assert all(picture is not None and picture.shape[2] == 3 for picture in pictures)
    assert not np.array_equal(pictures[0][:, -60:], pictures[1][:, -60:])
    held = json.loads(Path("out/manifest.json").read_text())
    assert held["arguments"]["save_tokens"] is True
    assert sorted(entry()["outputs"]) == ["a.csv", "a.jsonl", *(f"a.tokens/{x}" for x in names)]


def test_without_the_option_there_are_no_images(stadkit: Stadkit, make_video: MakeVideo) -> None:
    assert stadkit(make_video("a.mp4", seconds=1), option="").exit_code == 0
    assert not FOLDER.exists()


def test_resume(stadkit: Stadkit, make_video: MakeVideo, pruning_detector: Detector) -> None:
    path = make_video("a.mp4", seconds=1)
    stadkit(path)
    calls = pruning_detector.model.heads.calls
    assert "kept from an earlier run" in stadkit(path).stderr
    assert pruning_detector.model.heads.calls == calls
    before = (FOLDER / "0.000.png").read_bytes()
    (FOLDER / "0.000.png").write_text("spoiled")
    assert "kept from an earlier run" not in stadkit(path).stderr
    assert (FOLDER / "0.000.png").read_bytes() == before
    result = stadkit(path, option="")
    assert result.exit_code == 2
    assert "save_tokens was True, is False" in result.stderr


def test_an_interrupted_run_is_resumed(
    stadkit: Stadkit, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    import stadkit.video.draw_tokens as draw

    path, whole = make_video("a.mp4"), draw.save_png

    def killed(picture: Any, path: Path) -> None:
        if path.name == "1.000.png":
            raise KeyboardInterrupt
        whole(picture, path)

    monkeypatch.setattr(draw, "save_png", killed)
    assert stadkit(path, "--batch", "1").exit_code == 130
    assert os.listdir(FOLDER) == ["0.000.png"]
    assert not Path("out/a.csv").exists()
    (FOLDER / f".{'0' * 32}.png").write_text("half of a picture")
    monkeypatch.setattr(draw, "save_png", whole)
    assert stadkit(path, "--batch", "1").exit_code == 0
    assert sorted(os.listdir(FOLDER)) == ["0.000.png", "1.000.png", "2.000.png"]


def test_images_of_other_keyframes_are_removed_and_foreign_files_kept(
    stadkit: Stadkit, make_video: MakeVideo
) -> None:
    path = make_video("a.mp4")
    stadkit(path)
    (FOLDER / "holiday.png").write_text("mine")
    assert stadkit(path, "--every", "2").exit_code == 2
    assert stadkit(path, "--every", "2", "--overwrite").exit_code == 0
    assert sorted(os.listdir(FOLDER)) == ["0.000.png", "2.000.png", "holiday.png"]
    assert "a.tokens/holiday.png" not in entry()["outputs"]


def test_a_foreign_folder_is_kept(stadkit: Stadkit, make_video: MakeVideo) -> None:
    FOLDER.mkdir(parents=True)
    (FOLDER / "0.000.png").write_text("mine")
    result = stadkit(make_video("a.mp4", seconds=1))
    assert result.exit_code == 2
    assert "a.tokens: exists already" in result.stderr
    assert (FOLDER / "0.000.png").read_text() == "mine"


def test_a_disk_error_leaves_no_images(
    stadkit: Stadkit, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    import stadkit.video.draw_tokens as draw

    paths, whole = [make_video("a.mp4"), make_video("b.mp4")], draw.save_png

    def full(picture: Any, path: Path) -> None:
        if path == FOLDER / "2.000.png":
            raise OSError(28, "No space left on device")
        whole(picture, path)

    monkeypatch.setattr(draw, "save_png", full)
    result = stadkit(*paths)
    assert result.exit_code == 1
    assert "a.mp4: No space left on device" in result.stderr
    assert {path.name for path in Path("out").glob("?.*")} == {"b.csv", "b.jsonl", "b.tokens"}


def refuse_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: Any) -> None:
        raise AssertionError("a video was opened")

    monkeypatch.setattr("stadkit.detection.video.open_video", opened)
    monkeypatch.setattr("stadkit.runs.job.check_file", opened)


def test_a_model_without_tokens_exits_2(
    stadkit: Stadkit,
    make_video: MakeVideo,
    fake_detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stadkit.detection.load", lambda *args: fake_detector)
    refuse_to_open(monkeypatch)
    result = stadkit(make_video("a.mp4"))
    assert result.exit_code == 2
    assert result.stderr == (
        "stadkit: error: fake: has no tokens to drop; use a model that does, such as evad-vit-b\n"
    )
    assert not Path("out").exists()


def test_a_model_without_pruning_exits_2(
    stadkit: Stadkit,
    make_video: MakeVideo,
    pruning_detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone = pruning_detector.model.backbone
    backbone.config = replace(backbone.config, keep_rate=1.0)
    refuse_to_open(monkeypatch)
    result = stadkit(make_video("a.mp4"))
    assert result.exit_code == 2
    assert result.stderr.startswith("stadkit: error: fake: keeps all tokens")
    assert not Path("out").exists()


def test_remove_keeps_foreign_files(tmp_path: Path) -> None:
    folder = tmp_path / "a.tokens"
    folder.mkdir()
    for name in ("0.000.png", "12.500.png", "-0.010.png", "x1.000.png", "notes.txt"):
        (folder / name).touch()
    remove(folder)
    assert sorted(os.listdir(folder)) == ["notes.txt", "x1.000.png"]
    for path in folder.iterdir():
        path.unlink()
    remove(folder)
    assert not folder.exists()
    remove(folder)  # a missing folder is fine
