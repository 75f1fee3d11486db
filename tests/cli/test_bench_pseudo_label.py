"""`stadkit bench pseudo-label`: figures are reported; their values are not tested."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from stadkit.bench.pseudo_labels import generated_people
from stadkit.cli import bench
from stadkit.cli.app import app
from stadkit.tla import STRATEGIES

SMALL = ["bench", "pseudo-label", "--frames", "60", "--runs", "1"]


def test_figures_of_each_strategy() -> None:
    done = CliRunner().invoke(app, [*SMALL, "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert list(report["keyframes_per_s"]) == list(STRATEGIES)
    assert min(report["keyframes_per_s"].values()) > 0
    assert report["goals"] == {"tla": 20_000}


def test_missed_goals_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "measure_labelling", lambda *_: 19_999)
    done = CliRunner().invoke(app, [*SMALL, "--strategy", "tla"])
    assert done.stdout == "tla             19,999 keyframes/s  (goal: at least 20,000)\n"
    assert "goals missed: tla" in done.stderr
    monkeypatch.setattr(bench, "measure_labelling", lambda *_: 20_000)
    assert "missed" not in CliRunner().invoke(app, SMALL).stderr


def test_an_unknown_strategy_is_refused() -> None:
    done = CliRunner().invoke(app, [*SMALL, "--strategy", "best"])
    assert done.exit_code == 2
    assert "unknown strategy 'best'" in done.stderr


def test_truth_has_one_keyframe_per_second() -> None:
    found, truth = generated_people(50, people=2, seed=0)
    assert sorted(set(truth.time.tolist())) == list(range(10))
    assert len(truth) == 20
    assert set(np.rint(5 * found.time).astype(int).tolist()) <= set(range(50))
    assert len(found) > 80
