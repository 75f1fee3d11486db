"""Real Ray workers: two on this machine, one of which is killed at work."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stadkit import zoo
from stadkit.detection import DetectOptions, detect_video, load
from stadkit.detection.two_stage import with_boxes
from stadkit.engine import RayExecutor, VideoTask, WorkerConfig
from stadkit.engine.ray_pool import RayPool, check_ray
from stadkit.engine.scheduler import join, split
from stadkit.engine.worker import Worker
from stadkit.errors import StadkitError, UsageError, WeightsError
from stadkit.zoo.cards import to_json

EXAMPLE = Path(__file__).parents[2] / "examples" / "playground.mp4"


def test_a_missing_ray_is_reported_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stadkit.engine.ray_pool.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'Ray is not installed; pip install "stadkit\[ray\]"'):
        check_ray()


def test_ray_is_imported_only_on_use() -> None:
    code = "import sys, stadkit.engine, stadkit.runs.batch; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def config(**other: Any) -> WorkerConfig:
    detector = load("mestad-nano", "cpu", "fp32")
    made = WorkerConfig("mestad-nano", detector.sha256, "cpu", "fp32", str(EXAMPLE.parent), 1)
    return replace(made, **other)


def test_a_worker_reports_why_it_cannot_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # and back, whatever the worker does
    _, error = Worker(config(sha256="0" * 64)).ready(1)
    assert isinstance(error, WeightsError)
    assert "mestad-nano: weights on" in str(error)
    _, error = Worker(config(folder=str(tmp_path / "gone"))).ready(1)
    assert "gone: cannot be opened on" in str(error)
    name, error = Worker(config()).ready(1)
    assert error is None
    assert name.endswith(f":{os.getpid()}")


def test_a_worker_with_a_person_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = replace(
        zoo.card("roi-slowonly-8x8-ak"),
        settings={"classes": 80, "backbone": "slowonly-tiny"},
        stride=3.0,
        short_side=48,
    )
    weights = tmp_path / "tiny.safetensors"
    zoo.save_weights(zoo.build_card(card).state_dict(), weights, {"card": to_json(card)})
    monkeypatch.chdir(tmp_path)
    here = with_boxes(load(str(weights), "cpu", "fp32"), "mestad-nano", False, "cpu", "fp32")
    assert here.person_detector is not None
    both = config(
        model=str(weights),
        sha256=here.sha256,
        people="mestad-nano",
        people_sha256=here.person_detector.sha256,
    )
    _, error = Worker(replace(both, people_sha256="0" * 64)).ready(1)
    assert "mestad-nano: weights on" in str(error)
    worker = Worker(both)
    assert worker.ready(1)[1] is None
    work = VideoTask(EXAMPLE, DetectOptions(every=0.25, duration=2.5, batch=2))
    parts = split(work, 1.0, 2, max_ranges=2, min_range=3)
    assert len(parts) == 2
    there = join([worker.run(part) for part in parts], strict=False).result()
    whole = detect_video(here, EXAMPLE, work.options)
    assert len(whole.table) >= 10
    for name in ("time", "box", "person", "action"):
        assert getattr(there.table, name).tolist() == getattr(whole.table, name).tolist()


@pytest.mark.slow
def test_one_of_two_workers_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    lines: list[str] = []
    options = DetectOptions(every=0.5, batch=2)
    paths = [Path(shutil.copy(EXAMPLE, tmp_path / f"{name}.mp4")) for name in "abc"]

    with RayExecutor(
        config(), 2, every=1.0, batch=2, splits=True, report=lines.append, min_range=4
    ) as engine:

        def tasks() -> Iterator[tuple[str, VideoTask]]:
            yield "a", VideoTask(paths[0], options)
            # One worker is idle; the other has a part of the first video.
            (busy,) = engine.pool.busy
            os.kill(int(busy.split(":")[1]), signal.SIGKILL)
            for path in paths[1:]:
                yield path.stem, VideoTask(path, options)

        found = {name: result.result() for name, result in engine.run(tasks())}
    assert [text for text in lines if "was lost; its task will be repeated" in text]
    detector = load("mestad-nano", "cpu", "fp32")
    for path in paths:
        here, there = detect_video(detector, path, options), found[path.stem]
        assert len(here.table) > 20
        assert there.report == here.report
        assert there.keyframes.time.tolist() == here.keyframes.time.tolist()
        for name in ("time", "box", "person", "action"):
            assert getattr(there.table, name).tolist() == getattr(here.table, name).tolist()


def test_an_unreachable_cluster() -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match=r"--address 'head': give HOST:PORT"):
        RayPool(config(), 2, "head", print)
    with pytest.raises(StadkitError, match=r"--engine ray: no Ray at 127\.0\.0\.1:1"):
        RayPool(config(), 2, "127.0.0.1:1", print)
