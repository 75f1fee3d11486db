"""Queries hooked from a detector, and banks read by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stadkit.detection import DetectOptions, Detector, detect_video
from stadkit.detection.bank import BankWriter, Header, QueryBank, Window
from stadkit.detection.hooks import (
    QueryWatch,
    entry_width,
    require_bank_reader,
    require_query_model,
)
from stadkit.errors import UsageError
from stadkit.models.stmixer import StmixerConfig, build
from stadkit.video.clips import Clip

SMALL: dict[str, Any] = {
    "classes": 2,
    "backbone": "slowonly-tiny",
    "frames": 4,
    "queries": 6,
    "width": 16,
    "groups": 2,
    "points": 4,
    "out_points": 8,
    "stages": 2,
    "heads": 2,
    "feedforward": 24,
}


def clip(time: float, height: int = 32, width: int = 32) -> Clip:
    pixels = np.random.default_rng(int(time)).integers(0, 256, (4, height, width, 3), np.uint8)
    return Clip("v", pixels, time, np.full(4, time), (height, width))


@pytest.fixture
def small(fake_card: Any) -> Any:
    """A function: classifier -> a detector with a small STMixer-K."""

    def make(classifier: str = "plain") -> Detector:
        torch.manual_seed(0)
        model = build(StmixerConfig(**SMALL, classifier=classifier))
        for name, weight in model.named_parameters():
            if "classifier.long" in name and weight.ndim > 1:
                torch.nn.init.normal_(weight)
        card = replace(fake_card, min_person=0.0, multiple=32)
        return Detector(model, card, "cpu", "fp32", "small", "1" * 64)

    return make


def watched(detector: Detector, clips: list[Clip], batch: int) -> dict[float, Any]:
    seen: dict[float, Any] = {}
    with QueryWatch(detector, lambda c, p, e: seen.update({c.time: (p, e)})):
        list(detector.detect_clips(clips, batch=batch))
    return seen


def test_each_clip_gets_its_own_queries_in_any_batch_and_size(small: Any) -> None:
    detector = small()
    clips = [clip(i, 32, 32 if i % 2 else 64) for i in range(5)]
    alone, together = watched(detector, clips, 1), watched(detector, clips, 5)
    assert list(alone) == [0, 1, 2, 3, 4]
    for time, (person, entry) in alone.items():
        assert person.shape == (6,)
        assert entry.shape == (6, entry_width(detector.model))
        np.testing.assert_allclose(together[time][0], person, atol=1e-5)
        np.testing.assert_allclose(together[time][1], entry, atol=1e-4)
    assert abs(alone[0][1] - alone[1][1]).max() > 1e-3


def test_people_are_those_of_the_table(small: Any) -> None:
    detector = small()
    (person, _), (table,) = watched(detector, [clip(1)], 1)[1], detector.detect_clips([clip(1)])
    np.testing.assert_allclose(np.sort(person)[::-1], table.person, atol=1e-6)


def test_the_hook_is_removed_even_after_an_error(small: Any) -> None:
    detector = small()

    def broken(*_: Any) -> None:
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"), QueryWatch(detector, broken):
        list(detector.detect_clips([clip(0)]))
    assert not detector.model._forward_hooks
    assert len(list(detector.detect_clips([clip(0)]))) == 1


def test_split_batches(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = small()
    alone, whole = watched(detector, [clip(i) for i in range(3)], 1), detector.model.space

    def space(pixels: Any) -> Any:
        if len(pixels) > 1:
            raise torch.OutOfMemoryError
        return whole(pixels)

    monkeypatch.setattr(detector.model, "space", space)
    got = watched(detector, [clip(i) for i in range(3)], 3)
    for time in (0, 1, 2):
        np.testing.assert_allclose(got[time][1], alone[time][1], atol=1e-5)


def test_a_model_without_queries(fake_detector: Detector, small: Any) -> None:
    with pytest.raises(UsageError, match="fake: has no queries to save; use an STMixer"):
        detect_video(fake_detector, "gone.mp4", on_queries=lambda *_: None)
    with pytest.raises(UsageError, match="fake: has no queries"):
        require_query_model(fake_detector)
    for detector in (fake_detector, small(), small("short")):
        with pytest.raises(UsageError, match="reads no query bank; train an STMixer with"):
            require_bank_reader(detector)
    assert require_bank_reader(small("long")).config.classifier == "long"


def test_queries_of_one_pass_are_read_in_the_next(
    small: Any, make_video: Any, tmp_path: Path
) -> None:
    path, first, second = make_video("v.mp4"), small(), small("long")
    header = Header("small", "1" * 64, entry_width(first.model), 1.0, 0.0)
    with BankWriter(tmp_path / "v.queries", header) as writer:
        detect_video(first, path, DetectOptions(every=1.0), on_queries=writer.add)
    bank = QueryBank(tmp_path / "v.queries")
    assert bank.header.entries == 18  # 3 keyframes, 6 each
    known = {
        seconds: detect_video(
            second,
            path,
            DetectOptions(every=1.0, queries=Window(bank, seconds) if seconds else None),
        ).table.action
        for seconds in (0.0, 1.0, 2.0, 60.0)
    }
    # Half of 1 s does not reach the next keyframe; 60 s reach as far as 4, which 2 s do not.
    np.testing.assert_array_equal(known[1.0], known[0.0])
    assert abs(known[2.0] - known[0.0]).max() > 1e-3
    assert abs(known[60.0] - known[2.0]).max() > 1e-4


def test_the_bank_reaches_each_clip_in_any_batch(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = small("long")
    with BankWriter(tmp_path / "v.queries", Header("s", "", 32, None, 0.0)) as writer:
        for time in range(4):
            entry = np.random.default_rng(time).normal(size=(2, 32)).astype(np.float32)
            writer.add(clip(time), np.array([0.9, 0.8], np.float32), entry)
    window = Window(QueryBank(tmp_path / "v.queries"), 2.0)
    clips = [clip(i) for i in range(4)]

    def actions(batch: int) -> Any:
        options = DetectOptions(batch=batch, queries=window)
        return np.stack([table.action for _, table in detector.look(clips, options)])

    alone = actions(1)
    np.testing.assert_allclose(actions(4), alone, atol=1e-5)
    whole = detector.model.space

    def space(pixels: Any) -> Any:
        if len(pixels) > 2:
            raise torch.OutOfMemoryError
        return whole(pixels)

    monkeypatch.setattr(detector.model, "space", space)
    np.testing.assert_allclose(actions(4), alone, atol=1e-5)
