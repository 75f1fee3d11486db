"""`detect` with many workers writes the same files as one process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stadkit.cli.app import app
from stadkit.detection import DetectOptions, Detector
from stadkit.engine import RayExecutor, WorkerConfig
from stadkit.runs.batch import detect_many
from stadkit.runs.inputs import gather
from stadkit.runs.job import Job

MakeVideo = Callable[..., Path]
CONFIG = WorkerConfig("mestad-nano", "0" * 64, "cpu", "fp32", ".", 1)


def executor(pool: Any, splits: bool = True) -> RayExecutor:
    made = RayExecutor(CONFIG, pool.workers, every=1.0, batch=2, splits=splits, min_range=4)
    made.__dict__["pool"] = pool
    return made


def run(
    detector: Detector, inputs: list[str], folder: str, engine: RayExecutor | None, **more: Any
) -> int:
    options = DetectOptions(every=0.2, **more.pop("options", {}))
    job = Job(detector, options, detector.card.classes, 0.1, executor=engine, **more)
    return detect_many(gather(inputs), job, Path(folder), overwrite=False, as_json=False)


def content(folder: str) -> dict[str, Any]:
    return {
        path.name: json.loads(path.read_text(), object_hook=untimed)
        if path.suffix == ".json"
        else path.read_bytes()
        for path in Path(folder).iterdir()
    }


def untimed(held: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in held.items() if key not in ("seconds", "threads")}


@pytest.fixture
def videos(make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Four videos of different lengths, and one file that is not a video."""
    monkeypatch.chdir(tmp_path)
    for name, seconds in (("a", 3), ("b", 1), ("c", 5), ("d", 2)):
        make_video(f"{name}.mp4", seconds=seconds)
    Path("bad.mp4").write_text("hello")
    return ["a.mp4", "bad.mp4", "b.mp4", "c.mp4", "d.mp4"]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("more", [{}, {"link": True}], ids=str)
def test_results_do_not_depend_on_workers(
    fake_detector: Detector,
    make_pool: Callable[..., Any],
    videos: list[str],
    workers: int,
    more: dict[str, Any],
) -> None:
    assert run(fake_detector, videos, "whole", None, **more) == 1
    pool = make_pool(workers, lost=(1, 4))
    assert run(fake_detector, videos[::-1], "workers", executor(pool), **more) == 1
    one, other = content("whole"), content("workers")
    for held in (one, other):
        held["summary.json"]["videos"].sort(
            key=lambda row: row["name"]
        )  # in the order of the inputs
    assert one == other
    # A video has as many parts as there are workers; the two lost ones were sent twice.
    assert len(pool.sent) == {1: 4, 2: 4 + 3, 3: 4 + 5}[workers] + 2


def test_finished_results_are_kept_and_no_worker_started(
    fake_detector: Detector, make_pool: Callable[..., Any], videos: list[str]
) -> None:
    videos.remove("bad.mp4")
    run(fake_detector, videos, "out", None)
    engine = RayExecutor(CONFIG, 2, every=1.0, batch=2, splits=True)
    assert run(fake_detector, videos, "out", engine) == 0
    assert "pool" not in engine.__dict__


def test_results_do_not_depend_on_batches(fake_detector: Detector, videos: list[str]) -> None:
    for batch in (1, 2, 3):
        run(fake_detector, videos, f"of-{batch}", None, options={"batch": batch})
    for name in ("a.csv", "a.jsonl", "c.csv"):
        assert len({Path(f"of-{batch}", name).read_bytes() for batch in (1, 2, 3)}) == 1


def test_tubelets_are_not_split(
    fake_detector: Detector, make_pool: Callable[..., Any], videos: list[str]
) -> None:
    pool = make_pool(2)
    run(fake_detector, ["c.mp4"], "out", executor(pool, splits=False))
    assert len(pool.sent) == 1


@pytest.mark.parametrize("option", ["--save-tokens", "--save-queries", "--queries=banks"])
def test_options_of_the_local_engine_only(videos: list[str], option: str) -> None:
    pytest.importorskip("ray")
    result = CliRunner().invoke(app, ["detect", "a.mp4", "--engine", "ray", option])
    assert result.exit_code == 2
    assert f"{option.split('=')[0]}: only with the local engine" in result.stderr
