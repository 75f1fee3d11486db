"""A person detector and an action classifier over one pass of a video."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from stadkit import zoo
from stadkit.cli.app import app
from stadkit.detection import DetectOptions, Detector, detect_video
from stadkit.detection.two_stage import with_boxes, with_person_detector
from stadkit.detections import Detections
from stadkit.errors import UsageError
from stadkit.labels import ava
from stadkit.models import two_stage
from stadkit.models.two_stage import TwoStageConfig
from stadkit.video.clips import Clip, Cut, clips, paired
from stadkit.video.decode import open_video

MakeVideo = Callable[..., Path]
TIMES = np.arange(8) / 10


@pytest.fixture
def actions() -> Detector:
    """A small two-stage model of 80 actions, on clips of 8 frames .1 s apart."""
    torch.manual_seed(0)
    card = replace(
        zoo.card("roi-slowonly-8x8-ak"),
        settings={"classes": 80, "backbone": "slowonly-tiny"},
        stride=3.0,
        short_side=48,
        min_person=0.9,
    )
    model = two_stage.build(TwoStageConfig(**card.settings))
    return Detector(model, card, "cpu", "fp32", "roi-tiny", "1" * 64)


@pytest.mark.parametrize(
    ("every", "wanted_times"), [(0.5, [0.7, 1.2, 1.7]), ("frame", [0.3, 0.4, 0.5])]
)
def test_clips_of_one_pass_equal_those_of_two(
    make_video: MakeVideo, every: float | str, wanted_times: list[float]
) -> None:
    path = make_video("a.mp4", seconds=3)
    cuts = Cut(4, 0.1, 2, 32), Cut(9, 0.2, 0, 24, "linear")
    options = {"every": every, "start": 0.2, "duration": 2.5, "part": (1, 4)}
    with open_video(path) as video:
        pairs = list(paired(video, *cuts, **options))  # type: ignore[arg-type]
    assert [clip.time for clip, _ in pairs] == pytest.approx(wanted_times)
    for cut, ours in zip(cuts, zip(*pairs, strict=True), strict=True):
        with open_video(path) as video:
            alone = list(clips(video, cut, **options))  # type: ignore[arg-type]
        for clip, wanted in zip(ours, alone, strict=True):
            assert np.array_equal(clip.pixels, wanted.pixels)
            assert np.array_equal(clip.times, wanted.times)


def test_a_pass_ends_after_the_last_clip(make_video: MakeVideo) -> None:
    cut = Cut(2, 0.1, 1, 32)
    with open_video(make_video("a.mp4", seconds=3)) as video:
        assert len(list(paired(video, cut, cut, times=[0.1, 0.5]))) == 2
        assert video.report.frames < 10


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_people_come_from_the_detector_and_actions_from_the_classifier(
    actions: Detector, fake_detector: Detector, make_video: MakeVideo, batch: int | None
) -> None:
    path, every = make_video("a.mp4", seconds=3), 0.5
    both = detect_video(
        with_person_detector(actions, fake_detector), path, DetectOptions(every=every, batch=batch)
    )
    found = detect_video(fake_detector, path, DetectOptions(every=every)).table
    options = DetectOptions(proposals=found, min_person=0.0)
    apart = detect_video(actions, path, options).table
    assert both.table.classes == ava().names
    assert len(both.table) == len(found) == 6
    np.testing.assert_array_equal(both.table.box, found.box)
    np.testing.assert_allclose(both.table.person, found.person, atol=1e-6)
    np.testing.assert_allclose(both.table.action, apart.action, rtol=1e-4, atol=1e-6)
    assert both.keyframes.time.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


@pytest.mark.parametrize("changes", [{}, {"head": "acrn", "aligned": True}, {"context": True}])
def test_folded_and_in_low_precision(changes: dict[str, Any], actions: Detector) -> None:
    torch.manual_seed(0)
    model = two_stage.build(TwoStageConfig("slowfast-tiny", fusion_norm=False, **changes))
    clip = Clip(
        "v",
        np.random.default_rng(0).integers(0, 255, (8, 48, 64, 3), np.uint8),
        0.0,
        TIMES,
        (48, 64),
    )
    found = []
    for precision in ("fp32", "bf16"):
        detector = Detector(copy.deepcopy(model), actions.card, "cpu", precision).lower()
        found += detector.detect_clips([clip], proposals=boxes([[0.1, 0.1, 0.6, 0.9]]))
    assert found[0].action.std() > 0
    np.testing.assert_allclose(found[1].action, found[0].action, atol=0.02)


def boxes(corners: list[list[float]]) -> Detections:
    """People with score 1 at time 0 of video v."""
    n = len(corners)
    nothing = np.zeros((n, 0), np.float32)
    box, sure = np.array(corners, np.float32), np.ones(n, np.float32)
    return Detections(
        np.full(n, "v"), np.zeros(n), box, sure, nothing, np.full(n, -1, np.int32), ()
    )


def test_the_threshold_is_the_person_detectors(
    actions: Detector, fake_detector: Detector, make_video: MakeVideo
) -> None:
    both, path = with_person_detector(actions, fake_detector), make_video("a.mp4", seconds=1)
    assert both.card.min_person == 0.5
    people = {low: len(next(both.detect(path, min_person=low))) for low in (None, 0.2, 0.9)}
    assert people == {None: 1, 0.2: 2, 0.9: 0}
    assert len(next(both.detect(path, min_person=0.2, top_k=1))) == 1


def test_for_tubelets_the_key_frame_box_is_used(
    actions: Detector, fake_detector: Detector, make_video: MakeVideo
) -> None:
    fake_detector.card = replace(fake_detector.card, tubelet=True)
    both = with_person_detector(actions, fake_detector)
    tables = list(both.detect(make_video("a.mp4", seconds=2)))
    assert [table.time.tolist() for table in tables] == [[0.0], [1.0]]
    assert fake_detector.card.tubelet


def test_invalid_combinations_are_refused(
    actions: Detector, fake_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stadkit.detection.two_stage.load", lambda name, *_: actions)
    how = ("cpu", "fp32")
    with pytest.raises(UsageError, match=r"roi-tiny: this model .* --proposals, .* --person-model"):
        with_boxes(actions, "", False, *how)
    with pytest.raises(UsageError, match="by --proposals or by --person-model, not both"):
        with_boxes(actions, "mestad-nano", True, *how)
    with pytest.raises(UsageError, match="fake finds people itself; the option is for two-stage"):
        with_boxes(fake_detector, "mestad-nano", False, *how)
    with pytest.raises(UsageError, match="roi-b is a two-stage model and finds no people"):
        with_boxes(actions, "roi-b", False, *how)
    assert with_boxes(actions, "", True, *how) is actions
    assert with_boxes(fake_detector, "", False, *how) is fake_detector


@pytest.fixture
def run(
    actions: Detector, fake_detector: Detector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Any]:
    """`stadkit detect -m roi-tiny` with these arguments in a new folder."""
    monkeypatch.setattr("stadkit.detection.load", lambda *_: actions)
    monkeypatch.setattr("stadkit.detection.two_stage.load", lambda *_: fake_detector)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(
        app, ["detect", "-m", "roi-tiny", *map(str, arguments)]
    )


def test_the_manifest_has_both_models(run: Callable[..., Any], make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=2)
    result = run(path, "-o", "out", "--person-model", "mestad-nano")
    assert result.exit_code == 0, result.stderr
    held = json.loads(Path("out/manifest.json").read_text())
    assert (held["model"]["name"], held["model"]["sha256"]) == ("roi-tiny", "1" * 64)
    assert held["person_model"] == {
        "name": "fake",
        "sha256": "0" * 64,
        "licence": held["person_model"]["licence"],
    }
    assert held["thresholds"]["min_person"] == 0.5
    assert "people from 0.5" in result.stderr
    assert "people by fake" in result.stderr
    rows = [json.loads(line) for line in Path("out/a.jsonl").read_text().splitlines()]
    assert [len(row["people"]) for row in rows] == [1, 1]


def test_without_boxes_nothing_is_started(run: Callable[..., Any], make_video: MakeVideo) -> None:
    result = run(make_video("a.mp4", seconds=1), "-o", "out")
    assert result.exit_code == 2
    assert "--proposals, or the name of a detection model with --person-model" in result.stderr
    assert not Path("out").exists()
