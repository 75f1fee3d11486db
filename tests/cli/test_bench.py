"""`stadkit bench`: the figures are there; how fast this machine is, no test says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stadkit.cli.app import app
from stadkit.detect import Detector


def test_detect(
    fake_detector: Detector, make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stadkit.detect.load", lambda *args: fake_detector)
    path = make_video("a.mp4", seconds=2)
    arguments = ["bench", "detect", "--video", str(path), "--runs", "1", "--every", "0.5"]
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert told["clips"] == 4
    slower = max(told["decode_s"], told["model_s"])
    assert told["ratio"] == pytest.approx(told["whole_s"] / slower, rel=0.02)
    assert told["floor_s"] >= slower
    assert told["ratio_to_floor"] == pytest.approx(told["whole_s"] / told["floor_s"], rel=0.02)


def test_model() -> None:
    arguments = ["bench", "model", "mestad-nano", "--runs", "1", "--precision", "fp32", "--json"]
    told = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert told["clips_per_second"] == pytest.approx(1000 / told["ms"], rel=0.01)
    assert told["share_of_matmul"] > 0
    assert set(told["parts_ms"]) == {"backbone", "pyramid", "fcos", "head"}
    assert 0 < sum(told["parts_ms"].values()) < 10 * told["ms"]


def test_model_of_other_settings_and_size() -> None:
    arguments = ["bench", "model", "mestad-nano", "--runs", "1", "--size", "64", "--json"]
    plain = json.loads(CliRunner().invoke(app, arguments).stdout)
    changed = json.loads(CliRunner().invoke(app, [*arguments, "--set", "width=32"]).stdout)
    assert plain["pixels"] == 64
    assert changed["gmacs"] < plain["gmacs"]


@pytest.mark.parametrize("given", ["width", "widht=3", "width=[", "keep_rate=2"])
def test_wrong_settings_are_named(given: str) -> None:
    done = CliRunner().invoke(app, ["bench", "model", "mestad-nano", "--set", given])
    assert done.exit_code == 2
    assert given.split("=")[0] in done.stderr
