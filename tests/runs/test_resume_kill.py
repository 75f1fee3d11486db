"""After kill -9 at any moment the same command gives the bytes of an undisturbed run."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.killing import Killer, killer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


@pytest.fixture(scope="module")
def process() -> Iterator[Killer]:
    with killer() as started:
        yield started


def results(folder: Path) -> dict[str, Any]:
    """Name -> content of every file of a run; JSON without its timings."""
    return {
        path.name: json.loads(path.read_text(), object_hook=untimed)
        if path.suffix == ".json"
        else path.read_bytes()
        for path in folder.iterdir()
    }


def killed(process: Killer, folder: Path, videos: list[Path], moment: float) -> bool:
    """Kill a run into a new folder at `moment` seconds, or earlier if it has ended by then, as its
    speed depends on the load of the machine."""
    for _ in range(8):
        if process.run(folder, videos, moment)["killed"]:
            return True
        shutil.rmtree(folder)
        moment /= 2
    return False


def untimed(held: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in held.items() if key != "seconds"}


@pytest.mark.parametrize(
    ("seed", "kills"), [(0, 4), pytest.param(1, 20, marks=pytest.mark.slow)], ids=str
)
def test_kill_and_resume(
    process: Killer,
    make_video: Callable[..., Path],
    tmp_path: Path,
    seed: int,
    kills: int,
) -> None:
    videos = [make_video(f"{name}.mp4", seconds=1) for name in "abc"]
    process.run(tmp_path / "whole", videos)  # also warms up the imports
    seconds = process.run(tmp_path / "timed", videos)["seconds"]
    whole = results(tmp_path / "whole")
    chance = random.Random(seed)
    for number in range(kills):
        folder = tmp_path / f"killed-{number}"
        # One moment in each equal stretch of the run, so that few kills cover all of it.
        moment = seconds * (number + chance.random()) / kills
        assert killed(process, folder, videos, moment)
        assert not process.run(folder, videos)["killed"]
        assert results(folder) == whole
