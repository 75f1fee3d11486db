"""`stadkit merge`: merged shards equal a single run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from stadkit.cli.app import app
from stadkit.detection import Detector
from stadkit.runs.folder import LOCK

MakeVideo = Callable[..., Path]
Stadkit = Callable[..., Result]


@pytest.fixture
def stadkit(
    fake_detector: Detector, make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Stadkit:
    """Run `stadkit` in a folder with five videos, two of them called x."""
    monkeypatch.setattr("stadkit.detection.load", lambda *args: fake_detector)
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "x", "more/x"):
        make_video(f"videos/{name}.mp4", seconds=1)
    Path("videos/bad.mp4").write_text("hello")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return run


def shards(stadkit: Stadkit, count: int, *more: str) -> list[int]:
    """Run all shards, last to first; their exit codes."""
    parts = range(count, 0, -1)
    command = ["detect", "videos", "-o", "parts"]
    return [stadkit(*command, "--shard", f"{i}/{count}", *more).exit_code for i in parts]


def content(folder: str) -> dict[str, Any]:
    """Content by path; JSON without its seconds."""
    return {
        str(path.relative_to(folder)): json.loads(path.read_text(), object_hook=untimed)
        if path.suffix == ".json"
        else path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def untimed(held: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in held.items() if key != "seconds"}


@pytest.mark.parametrize("count", [1, 3, 7])
def test_merged_shards_equal_a_single_run(stadkit: Stadkit, count: int) -> None:
    assert stadkit("detect", "videos", "-o", "whole", "--link").exit_code == 1  # bad.mp4
    assert sum(shards(stadkit, count, "--link")) == 1
    result = stadkit("merge", "parts", "-o", "all")
    assert result.exit_code == 1, result.output
    assert "4 of 5 complete: 4 people" in result.stderr
    assert result.stderr.endswith(f"{count} run{'s' * (count > 1)} -> all\n")
    assert content("all") == content("whole")


def test_a_run_can_be_resumed_in_the_merged_folder(
    stadkit: Stadkit, fake_model: Any, make_video: MakeVideo
) -> None:
    Path("videos/bad.mp4").unlink()
    assert shards(stadkit, 2) == [0, 0]
    assert stadkit("merge", "parts/shard-2-of-2", "parts/shard-1-of-2", "-o", "all").exit_code == 0
    calls = fake_model.calls
    make_video("videos/new.mp4", seconds=1)
    result = stadkit("detect", "videos", "-o", "all")
    assert result.stderr.count("kept from an earlier run") == 4
    assert fake_model.calls == calls + 1


def test_each_shard_has_its_own_folder(stadkit: Stadkit) -> None:
    result = stadkit("detect", "videos", "--shard", "1/2")
    assert result.exit_code == 2
    assert "--shard: set --output to the folder of all shards" in result.stderr
    shards(stadkit, 2)
    again = stadkit("detect", "videos", "-o", "parts", "--shard", "2/2")
    assert "shard-2-of-2: 2 of 5 inputs" in again.stderr
    # 1/2 may have more inputs by now; its folder has the old ones.
    Path("videos/bad.mp4").unlink()
    assert stadkit("detect", "videos", "-o", "parts", "--shard", "2/2").exit_code == 2


def refused(stadkit: Stadkit, *runs: str) -> str:
    result = stadkit("merge", *runs, "-o", "all")
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    assert not Path("all").exists()
    assert not list(Path().glob(".*"))
    return result.stderr


def test_a_missing_shard(stadkit: Stadkit) -> None:
    shards(stadkit, 4)
    for index in (2, 3):
        shutil.rmtree(f"parts/shard-{index}-of-4")
    error = refused(stadkit, "parts")
    assert "shard 2, 3 of 4 is missing; run `stadkit detect --shard 2/4`" in error


def test_other_arguments_and_other_weights(stadkit: Stadkit, fake_detector: Detector) -> None:
    one, other = (["detect", "videos", "-o", "parts", "--shard", f"{i}/2"] for i in (1, 2))
    stadkit(*one)
    stadkit(*other, "--every", "0.5")
    error = refused(stadkit, "parts")
    assert "parts/shard-2-of-2: has other settings than parts/shard-1-of-2 (every was 1.0" in error
    fake_detector.sha256 = "1" * 64
    stadkit(*other, "--overwrite")
    assert "(sha256 was 000" in refused(stadkit, "parts")


def test_shards_of_other_inputs(stadkit: Stadkit) -> None:
    stadkit("detect", "videos", "-o", "parts", "--shard", "1/2")
    Path("videos/bad.mp4").unlink()
    stadkit("detect", "videos", "-o", "parts", "--shard", "2/2")
    assert "are not shards of the same inputs" in refused(stadkit, "parts")


def test_shards_of_different_counts(stadkit: Stadkit) -> None:
    stadkit("detect", "videos", "-o", "parts", "--shard", "1/1")
    stadkit("detect", "videos", "-o", "parts", "--shard", "2/2")
    error = refused(stadkit, "parts")
    assert "parts/shard-2-of-2 and parts/shard-1-of-1: are shards of 2 and of 1" in error


def test_the_lock_of_a_killed_shard_is_not_merged(stadkit: Stadkit) -> None:
    shards(stadkit, 2)
    Path("parts/shard-1-of-2", LOCK).touch()
    assert stadkit("merge", "parts", "-o", "all").exit_code == 1  # bad.mp4
    assert not list(Path("all").glob(".*"))


def test_an_interrupted_shard_names_the_given_folder(
    stadkit: Stadkit, fake_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(fake_model, "forward", stop)
    result = stadkit("detect", "videos", "-o", "parts", "--shard", "1/2")
    assert result.exit_code == 130
    assert "the same command with -o parts resumes here" in result.stderr


def test_the_same_shard_twice(stadkit: Stadkit) -> None:
    shards(stadkit, 2)
    shutil.copytree("parts/shard-1-of-2", "copy")
    assert "copy: are the same shard" in refused(stadkit, "parts", "copy")


def test_a_killed_shard(stadkit: Stadkit) -> None:
    shards(stadkit, 2)
    path = Path("parts/shard-1-of-2/manifest.json")
    held = json.loads(path.read_text())
    name = min(held["videos"])
    held["videos"][name] = {"status": "begun", "fingerprint": "0"}
    path.write_text(json.dumps(held))
    assert "shard-1-of-2: is not finished (2 of 3 videos)" in refused(stadkit, "parts")
    del held["videos"][name]
    path.write_text(json.dumps(held))
    assert "shard-1-of-2: is not finished (2 of 3 videos)" in refused(stadkit, "parts")


def test_a_changed_or_lost_result(stadkit: Stadkit) -> None:
    shards(stadkit, 1)
    Path("parts/shard-1-of-1/a.csv").write_text("spoiled")
    assert "a.csv: differs from its checksum" in refused(stadkit, "parts")
    Path("parts/shard-1-of-1/a.csv").unlink()
    assert "a.csv: is missing" in refused(stadkit, "parts")


def test_a_manifest_with_paths_outside_its_folder(stadkit: Stadkit) -> None:
    shards(stadkit, 1)
    path = Path("parts/shard-1-of-1/manifest.json")
    held = json.loads(path.read_text())
    held["videos"]["a"]["outputs"] = {"../../videos/a.mp4": ""}
    path.write_text(json.dumps(held))
    assert "names ../../videos/a.mp4, which is outside it" in refused(stadkit, "parts")


def test_no_runs_and_no_manifests(stadkit: Stadkit) -> None:
    assert "manifest.json: cannot be read" in refused(stadkit, "videos")
    Path("videos/manifest.json").write_text("{")
    assert "manifest.json: is not a manifest" in refused(stadkit, "videos")
    Path("videos/manifest.json").write_text('{"command": "link", "videos": {}}')
    assert "was not written by `stadkit detect`" in refused(stadkit, "videos")


def test_runs_without_shards(stadkit: Stadkit) -> None:
    stadkit("detect", "videos/a.mp4", "-o", "one")
    stadkit("detect", "videos/b.mp4", "-o", "two")
    assert stadkit("merge", "one", "two", "-o", "all").exit_code == 0
    assert stadkit("detect", "videos/a.mp4", "videos/b.mp4", "-o", "whole").exit_code == 0
    assert content("all") == content("whole")
    shutil.rmtree("all")
    stadkit("detect", "videos/a.mp4", "-o", "three")
    assert "both have a video called 'a'" in refused(stadkit, "one", "three")


def test_no_file_is_overwritten(stadkit: Stadkit) -> None:
    shards(stadkit, 1)
    Path("all").mkdir()
    result = stadkit("merge", "parts", "-o", "all")
    assert result.exit_code == 2
    assert "all: exists already" in result.stderr
