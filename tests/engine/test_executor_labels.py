"""`pseudo-label --videos` with many workers writes the same files as one process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from stadkit.cli.app import app
from stadkit.engine import RayExecutor, WorkerConfig

LEFT = "0,0.1,0.5,0.9"  # where the fake model finds a person
Label = Callable[..., Result]


@pytest.fixture
def label(
    fake_detector: Any,
    make_video: Callable[..., Path],
    make_pool: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Label:
    """label(output, *arguments, pool=None): run `pseudo-label` over three videos, one of them bad,
    with the workers of the pool."""
    monkeypatch.setattr("stadkit.pseudo_labelling.videos.load", lambda *args: fake_detector)
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        make_video(f"videos/{name}.mp4")
    Path("videos/bad.mp4").write_text("hello")
    rows = [f"{v},{t},{LEFT},3,4\n" for v in ("a", "b", "bad") for t in range(3)]
    Path("sparse.csv").write_text("".join(rows))
    Path("labels.txt").write_text("3: wave\n7: sit\n")

    def run(output: str, *arguments: str, pool: Any = None) -> Result:
        executor = None
        if pool is not None:
            config = WorkerConfig("fake", "0" * 64, "cpu", "fp32", ".", 1)
            executor = RayExecutor(
                config, pool.workers, every=1.0, batch=2, splits=True, min_range=4
            )
            executor.__dict__["pool"] = pool
        monkeypatch.setattr("stadkit.pseudo_labelling.videos.pick_engine", lambda *args: executor)
        command = ["pseudo-label", "sparse.csv", "--videos", "videos", "-o", output]
        return CliRunner().invoke(app, [*command, *arguments])

    return run


@pytest.mark.parametrize("strategy", ["tla", "per-class"])
def test_results_do_not_depend_on_workers(
    label: Label, make_pool: Callable[..., Any], strategy: str
) -> None:
    assert label("whole.csv", "--strategy", strategy).exit_code == 1  # bad.mp4
    pool = make_pool(2, lost=(2,))
    result = label("spread.csv", "--strategy", strategy, pool=pool)
    assert result.exit_code == 1, result.output
    assert "of 3 between: videos/b.mp4" in result.stderr
    assert "bad.mp4: is a text file" in result.stderr
    for kind in ("csv", "sources.csv"):
        assert Path(f"whole.{kind}").read_bytes() == Path(f"spread.{kind}").read_bytes()
    for name in "ab":
        one, other = (Path(f"{run}.found/between/{name}.npz") for run in ("whole", "spread"))
        assert one.read_bytes() == other.read_bytes()
    assert len([work for work in pool.sent if work.path.stem == "a"]) >= 2


def test_kept_results_are_not_recomputed(label: Label, make_pool: Callable[..., Any]) -> None:
    Path("videos/bad.mp4").unlink()
    assert label("out.csv").exit_code == 0
    pool = make_pool(2)
    result = label("out.csv", "--overwrite", pool=pool)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("kept from an earlier run") == 2
    assert pool.sent == []
    held = json.loads(Path("out.found/between/manifest.json").read_text())
    assert {entry["status"] for entry in held["videos"].values()} == {"ok"}


def test_invalid_engine_options(label: Label) -> None:
    for arguments, message in (
        (["--engine", "dask"], "--engine 'dask': unknown engine; use local or ray"),
        (["--workers", "3"], "--workers: only with --engine ray"),
        (["--address", "auto"], "--address: only with --engine ray"),
    ):
        result = label("out.csv", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
