"""Keyframes numbered as frames, for methods that count frames: no drift at any rate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from stadkit.cli.app import app
from stadkit.detections import Detections, Keyframes
from stadkit.runs.linking import KeyframeNumbers
from stadkit.tubes import Tubes


def people(times: list[float], video: str = "a") -> Detections:
    n = len(times)
    return Detections(
        video=np.full(n, video),
        time=np.array(times, np.float64),
        box=np.tile(np.float32([0.1, 0.2, 0.3, 0.8]), (n, 1)),
        person=np.full(n, np.nan, np.float32),
        action=np.full((n, 1), 0.9, np.float32),
        track=np.full(n, -1, np.int32),
        classes=("stand",),
    )


def numbers(times: list[float]) -> list[float]:
    table = people(times)
    return KeyframeNumbers.of(Keyframes.of(table), table).to_frames(table).time.tolist()


@given(
    rate=st.sampled_from([1, 3, 5, 10, 24, 24000 / 1001, 25, 30000 / 1001, 30, 50, 60, 120]),
    start=st.floats(0, 1000),
    missed=st.sets(st.integers(1, 598), max_size=100),
)
def test_frames_are_numbered_without_drift(rate: float, start: float, missed: set[int]) -> None:
    frames = [frame for frame in range(600) if frame not in missed]
    assert numbers([round(start + frame / rate, 3) for frame in frames]) == frames


def test_each_video_has_its_own_rate_and_seconds_are_restored() -> None:
    table = Detections.join([people([5, 6, 8], "b"), people([0.5, 0.54, 0.62], "a")], ("stand",))
    also = Keyframes(np.array(["b", "a", "c"]), np.array([7, 0.58, 3]))
    frames = KeyframeNumbers.of(also, table)
    assert frames.to_frames(table).time.tolist() == [0, 1, 3, 0, 1, 3]
    tubes = Tubes(
        video=np.array(["b", "a"]),
        label=np.zeros(2, np.int32),
        score=np.ones(2),
        track=np.full(2, -1, np.int32),
        start=np.array([0, 2, 4]),
        time=np.array([2.0, 3, 0, 1]),
        box=np.tile([0.0, 0, 1, 1], (4, 1)),
        box_score=np.ones(4),
        interpolated=np.zeros(4, np.bool_),
        classes=("stand",),
    )
    assert frames.to_seconds(tubes).time.tolist() == [7, 8, 0.5, 0.54]


def test_no_keyframe_and_one() -> None:
    assert numbers([]) == []
    assert numbers([7]) == [0]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text("1: stand\n")
    return tmp_path


def stands(count: int, rate: float, start: float = 0.0) -> list[float]:
    """Write found.csv with one person standing still; returns the times."""
    times = [round(start + frame / rate, 3) for frame in range(count)]
    rows = [f"a,{time:.3f},0.1,0.2,0.3,0.8,1,0.9" for time in times]
    Path("found.csv").write_text("\n".join(rows) + "\n")
    return times


def link(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["link", "found.csv", "-o", "t.json", "--overwrite", *arguments])
    assert done.exit_code == 0, done.output
    return done.stderr


@pytest.mark.parametrize("method", ["act", "mmaction2"])
@pytest.mark.parametrize("rate", [30, 30000 / 1001, 24, 24000 / 1001, 0.5])
@pytest.mark.parametrize("start", [0.0, 902.517])
def test_a_person_standing_still_is_one_tube(
    here: Path, method: str, rate: float, start: float
) -> None:
    times = stands(600, rate, start)
    link("--method", method, "--size", "320x240")
    (tube,) = json.loads(Path("t.json").read_text())["videos"]["a"]
    assert tube["times"] == times


@pytest.mark.parametrize("method", ["act", "mmaction2"])
def test_no_tubes_are_explained(here: Path, method: str) -> None:
    stands(14, 1)
    stderr = link("--method", method, "--size", "320x240")
    assert (
        f"warning: no tubes: {method} ends a tube at a missed frame and drops tubes under 15 "
        "frames (here one per keyframe; set --rate)\n"
    ) in stderr
    stands(20, 1)
    assert "warning" not in link("--method", method, "--size", "320x240")
    stderr = link("--method", method, "--size", "320x240", "--rate", "25")
    assert "drops tubes under 15 frames (here 25 per second)\n" in stderr
    assert "warning" not in link()
