"""`stadkit bench`: figures are reported; their values are not tested."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import nn
from typer.testing import CliRunner

from stadkit.bench.model import _parts
from stadkit.cli.app import app
from stadkit.detection import Detector

COMPILERS = [name for name in ("c++", "g++", "clang++") if shutil.which(name)]


def test_detect(
    fake_detector: Detector, make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stadkit.detection.load", lambda *args: fake_detector)
    path = make_video("a.mp4", seconds=2)
    arguments = ["bench", "detect", "--video", str(path), "--runs", "1", "--every", "0.5"]
    report = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert report["clips"] == 4
    slower = max(report["decode_s"], report["model_s"])
    assert report["ratio"] == pytest.approx(report["whole_s"] / slower, rel=0.02)
    assert report["floor_s"] >= slower
    assert report["ratio_to_floor"] == pytest.approx(
        report["whole_s"] / report["floor_s"], rel=0.02
    )


def test_detect_of_a_two_stage_model(
    fake_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_detector.card = replace(fake_detector.card, family="slowfast-roi")
    monkeypatch.setattr("stadkit.detection.load", lambda *args: fake_detector)
    result = CliRunner().invoke(app, ["bench", "detect", "--runs", "1"])
    assert result.exit_code == 2
    assert "is a two-stage model; use an end-to-end model" in result.stderr


def test_model() -> None:
    arguments = ["bench", "model", "mestad-tiny", "--runs", "1", "--precision", "fp32", "--json"]
    report = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert report["clips_per_second"] == pytest.approx(1000 / report["ms"], rel=0.01)
    assert report["share_of_matmul"] > 0
    assert set(report["parts_ms"]) == {
        "backbone",
        "pyramid",
        "fcos",
        "glimpse",
        "head",
        "rest",
    }
    assert 0 < sum(report["parts_ms"].values()) < 10 * report["ms"]


def test_model_with_other_settings_and_size() -> None:
    arguments = ["bench", "model", "mestad-tiny", "--runs", "1", "--size", "64", "--json"]
    plain = json.loads(CliRunner().invoke(app, arguments).stdout)
    changed = json.loads(CliRunner().invoke(app, [*arguments, "--set", "width=32"]).stdout)
    assert plain["pixels"] == 64
    assert changed["gmacs"] < plain["gmacs"]


TINY = ["bench", "model", "evad-tiny", "--size", "64", "--runs", "1", "--precision", "fp32"]


def test_model_that_prunes_tokens() -> None:
    report = {}
    for rate in ("0.7", "1"):
        done = CliRunner().invoke(app, [*TINY, "--set", f"keep_rate={rate}", "--json"])
        report[rate] = json.loads(done.stdout)
    assert report["0.7"]["gmacs"] < report["1"]["gmacs"]
    parts = report["0.7"]["parts_ms"]
    assert set(parts) == {"backbone", "pyramid", "people", "encoder_to_decoder", "decoder", "rest"}
    assert parts["rest"] > 0  # RoIAlign is not in a child module


def test_model_with_a_batch() -> None:
    done = CliRunner().invoke(app, [*TINY, "--batch", "2", "--json"])
    report = json.loads(done.stdout)
    assert report["batch"] == 2
    assert report["clips_per_second"] == pytest.approx(2000 / report["ms"], rel=0.01)


def test_rest_is_the_time_outside_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("stadkit.bench.model.time", SimpleNamespace(perf_counter=lambda: now[0]))

    class Part(nn.Module):
        def forward(self) -> None:
            now[0] += 2

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part, self.slower = Part(), 3.0

        def forward(self) -> None:
            self.part()
            self.slower -= 1  # the best pass counts
            now[0] += 4 + self.slower

    model = Model()
    assert _parts(model, model, 3) == {"part": 2, "rest": 4}


@pytest.mark.slow
@pytest.mark.skipif(not COMPILERS, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # warnings of torch's compiler
def test_model_compiled() -> None:
    # Fewer layers compile faster, and Lite is left out.
    small = [
        "stem=pixels",
        "depth=4",
        "maps_at=[0,1,2,3]",
        "prune_at=[1]",
        "people_heads=1",
        "decoder_depth=1",
    ]
    changes = [word for one in small for word in ("--set", one)]
    done = CliRunner().invoke(app, [*TINY, *changes, "--compile", "--json"])
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["clips_per_second"] > 0
    assert report["parts_ms"] == {}  # compiled as a whole


@pytest.mark.parametrize(
    ("model", "setting"),
    [
        *(("mestad-tiny", setting) for setting in ("width", "widht=3", "width=[", "keep_rate=2")),
        ("evad-tiny", "keep_rate=2"),
    ],
)
def test_invalid_settings_are_named(model: str, setting: str) -> None:
    done = CliRunner().invoke(app, ["bench", "model", model, "--set", setting])
    assert done.exit_code == 2
    assert setting.split("=")[0] in done.stderr
