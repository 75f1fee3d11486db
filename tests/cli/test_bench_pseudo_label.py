"""`stadkit bench pseudo-label`: its figures are there; how fast this machine is, no test says."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from stadkit.bench.pseudo_labels import made_up
from stadkit.cli import bench
from stadkit.cli.app import app
from stadkit.tla import STRATEGIES

SMALL = ["bench", "pseudo-label", "--frames", "60", "--runs", "1"]


def test_figures_of_each_strategy() -> None:
    done = CliRunner().invoke(app, [*SMALL, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert list(told["keyframes_per_s"]) == list(STRATEGIES)
    assert min(told["keyframes_per_s"].values()) > 0
    assert told["goals"] == {"tla": 20_000}


def test_what_is_missed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "measure_labelling", lambda *_: 19_999)
    told = CliRunner().invoke(app, [*SMALL, "--strategy", "tla"])
    assert told.stdout == "tla             19,999 keyframes/s  (goal: at least 20,000)\n"
    assert "missed here: tla" in told.stderr
    monkeypatch.setattr(bench, "measure_labelling", lambda *_: 20_000)
    assert "missed" not in CliRunner().invoke(app, SMALL).stderr


def test_a_wrong_strategy_is_said() -> None:
    done = CliRunner().invoke(app, [*SMALL, "--strategy", "best"])
    assert done.exit_code == 2
    assert "unknown strategy 'best'" in done.stderr


def test_labelled_once_a_second() -> None:
    found, truth = made_up(50, people=2, seed=0)
    assert sorted(set(truth.time.tolist())) == list(range(10))
    assert len(truth) == 20
    assert set(np.rint(5 * found.time).astype(int).tolist()) <= set(range(50))
    assert len(found) > 80
