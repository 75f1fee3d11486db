"""`stadkit bench link`: figures are reported; their values are not tested."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from stadkit.bench.linking import measure_linking
from stadkit.cli.app import app
from stadkit.linking import METHODS
from stadkit.synth.benchmark_sets import crowd


def test_figures_of_one_method() -> None:
    arguments = ["bench", "link", "--videos", "1", "--runs", "1", "--method", "mmaction2"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["videos"] == 1
    assert 1400 < report["boxes"] < 1600
    assert report["mmaction2_s"] > 0
    assert report["mmaction2_tubes"] > 0
    assert report["mmaction2_peak_gb"] > 0
    assert report["goals"] == {}
    assert report["references_s"] == [6.8, 87.0]


def test_the_goal_scales_with_the_videos() -> None:
    def goal(videos: str, monkeypatch: pytest.MonkeyPatch) -> float:
        figures = {"boxes": 1, "s": 0.01, "cpu_s": 0.01, "tubes": 1, "peak_gb": 0.1}
        monkeypatch.setattr("stadkit.cli.bench.link_in_new_process", lambda *_: dict(figures))
        done = CliRunner().invoke(app, ["bench", "link", "--videos", videos, "--json"])
        return float(json.loads(done.stdout)["goals"]["track_s"])

    with pytest.MonkeyPatch.context() as monkeypatch:
        assert goal("2", monkeypatch) == 0.1
        assert goal("500", monkeypatch) == 60
        assert goal("1000", monkeypatch) == 120


def test_text_shows_goals_and_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"boxes": 1, "s": 0.5, "cpu_s": 0.5, "tubes": 1, "peak_gb": 0.1}
    monkeypatch.setattr("stadkit.cli.bench.link_in_new_process", lambda *_: dict(figures))
    done = CliRunner().invoke(app, ["bench", "link"])
    assert "(goal: at most 0.1)" in done.stdout
    assert "13.7 to 174.0 s" in done.stdout
    assert "goals missed: track_s" in done.stderr
    assert [f"{name}_s" in done.stdout for name in METHODS] == [True] * len(METHODS)


def test_an_unknown_method_is_refused() -> None:
    done = CliRunner().invoke(app, ["bench", "link", "--method", "magic"])
    assert done.exit_code == 2
    assert "--method 'magic': wants one of track, act, mmaction2, viterbi" in done.stderr
    assert CliRunner().invoke(app, ["link", "x", "-o", "y", "--method", "magic"]).stderr == (
        done.stderr
    )


def test_track_is_measured() -> None:
    report = measure_linking("track", 1, 0, 1)
    assert report["tubes"] > 0
    assert report["s"] > 0


def test_the_crowd_is_seeded_and_moves() -> None:
    truth = crowd(2, 50, 3, 4, seed=0)
    assert len(truth) == 300
    assert np.array_equal(truth.box, crowd(2, 50, 3, 4, seed=0).box)
    assert not np.array_equal(truth.box, crowd(2, 50, 3, 4, seed=1).box)
    assert (truth.action.sum(1) == 1).all()
    assert truth.box.min() >= 0
    assert truth.box.max() <= 1
    one = truth.select((truth.video == "crowd-0001") & (truth.track == 2))
    assert one.time == pytest.approx(np.arange(50) / 25)
    assert np.abs(np.diff(one.box, axis=0)).max() < 0.05  # at least 20 steps across the frame
    assert len(np.unique(one.action, axis=0)) > 1
