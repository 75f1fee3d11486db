"""Tubelets of whole videos: every frame once, to the end, within start and duration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stadkit import zoo
from stadkit.detection import DetectOptions, Detector, detect_video
from stadkit.synth import Footage, write_playground
from stadkit.zoo import card


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("play")
    write_playground(folder, 1, 5, footage=Footage(seconds=2.8, width=96, height=72))
    (path,) = (folder / "videos").glob("*.mp4")
    return path


@pytest.fixture(scope="module")
def detector() -> Detector:
    """A model that finds the same three people everywhere."""
    torch.manual_seed(0)
    known = replace(card("stmixer-t-tiny"), short_side=64)
    known = replace(known, settings={**known.settings, "queries": 3, "stages": 1})
    model = zoo.build_card(known)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "there_fc_cls.bias" in name:
                weight.fill_(5.0)
            if "fc_reg.bias" in name:
                weight.copy_(torch.tensor([0.0, 0.0, -1.0, 0.2]))
    return Detector(model, known, "cpu", "fp32", "t")


def test_each_frame_is_processed_once_to_the_end(detector: Detector, video: Path) -> None:
    found = detect_video(detector, video, DetectOptions(min_person=0.0, top_k=1))
    steps = np.diff(found.keyframes.time)
    np.testing.assert_allclose(steps[:-1], 0.16, atol=1e-6)
    assert found.keyframes.time[-1] == pytest.approx(2.76)  # the last of 70 frames
    assert found.table.time.tolist() == found.keyframes.time.tolist()
    assert set(found.table.track.tolist()) == {0}


def test_start_and_duration_bound_the_rows(detector: Detector, video: Path) -> None:
    options = DetectOptions(min_person=0.0, top_k=1, start=1.0, duration=1.2)
    found = detect_video(detector, video, options)
    for times in (found.keyframes.time, found.table.time):
        assert times.min() >= 1.0
        assert times.max() < 2.2
        assert times.max() > 2.0


def test_tubelets_around_each_frame_are_joined(detector: Detector, video: Path) -> None:
    options = DetectOptions(every="frame", min_person=0.0, top_k=1, start=1.0, duration=0.4)
    found = detect_video(detector, video, options)
    frames = np.arange(25, 35) / 25
    np.testing.assert_allclose(found.keyframes.time, frames, atol=1e-6)
    assert found.table.time.tolist() == found.keyframes.time.tolist()
