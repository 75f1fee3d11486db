"""Long-term classifiers learn from query banks: each clip gets its own entries."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from stadkit import zoo
from stadkit.detection.bank import BankWriter, Header
from stadkit.errors import StadkitError, UsageError
from stadkit.models.classifiers import Bank
from stadkit.training.bank_settings import Banks, ClipBanks, bank_settings
from stadkit.training.batches import Batch, Views, collate
from stadkit.training.config import AugmentConfig, TrainConfig, read_config
from stadkit.training.loop import train
from stadkit.training.sources import Annotated
from stadkit.training.validation import validate
from stadkit.video.clips import Clip

MakeVideo = Callable[..., Path]
SETTINGS = (
    "{classifier: long, width: 16, groups: 2, points: 4, out_points: 8, queries: 6, stages: 2, "
    "heads: 2, feedforward: 24}"
)
CONFIG = f"""
model: stmixer-k-tiny
settings: {SETTINGS}
data:
  train: {{truth: truth.csv, labels: labels.txt, videos: videos, offset: 900, short_side: 32,
          queries: bank, window: 3}}
  val: {{truth: truth.csv, labels: labels.txt, videos: videos, offset: 900, short_side: 32,
        queries: bank, window: 3}}
  store: clips
  workers: 0
augment: {{short_side: [32, 32], crop: [32, 32]}}
optimizer: {{name: adamw, lr: 0.01}}
schedule: {{epochs: 2, warmup: 0}}
batch: 2
"""


def clip(time: float, video: str = "v") -> Clip:
    return Clip(video, np.zeros((1, 2, 2, 3), np.uint8), time, np.array([time]), (2, 2))


def write_bank(folder: Path, video: str, seconds: int, sha256: str = "c" * 64) -> None:
    """One person per second, whose entries hold the second's number."""
    with BankWriter(folder / f"{video}.queries", Header("k", sha256, 32, 1.0, 0.5)) as writer:
        for second in range(seconds):
            entry = np.full((1, 32), float(second), np.float32)
            writer.add(clip(float(second)), np.array([0.9], np.float32), entry)


@pytest.fixture
def config(tmp_path: Path, make_video: MakeVideo) -> TrainConfig:
    """CONFIG with videos a and b, labelled at their seconds 1 and 2, and with their banks."""
    rows = []
    for video in "ab":
        make_video(f"videos/{video}.mp4", seconds=4)
        write_bank(tmp_path / "bank", video, 4)
        rows += [f"{video},{time},0.1,0.2,0.5,0.9,1,7" for time in (901, 902)]
    (tmp_path / "truth.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "labels.txt").write_text("1: stand\n2: walk\n")
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return read_config(tmp_path / "tiny.yaml")


def source(config: TrainConfig) -> Annotated:
    card = zoo.card("stmixer-k-tiny")
    card = replace(card, settings={**card.settings, **config.settings})
    train = config.data.train
    assert not hasattr(train, "clips")
    return Annotated(train, card, config.data.store or Path())


def test_examples_have_the_entries_around_them_in_their_video(config: TrainConfig) -> None:
    near = source(config)[1].near
    assert near is not None
    entry, seconds = near
    # Truth says 902 s, which is second 2 of the video; 1.5 s reach to seconds 1 and 3.
    assert entry[:, 0].tolist() == [1, 3]
    assert seconds.tolist() == [-1, 1]


def test_batches_have_banks(config: TrainConfig, tmp_path: Path) -> None:
    views = Views(source(config), AugmentConfig(short_side=(32, 32), crop=(32, 32)), 0)
    batch = collate([views[0, 0], views[0, 1]])
    assert isinstance(batch, Batch)
    bank = batch.to(torch.device("cpu")).bank
    assert bank is not None
    assert bank.entry[..., 0].tolist() == [[0, 2], [1, 3]]
    assert bank.known.all()
    plain = config.data.train.model_copy(update={"queries": None})
    data = config.data.model_copy(update={"train": plain})
    without = Views(source(config.model_copy(update={"data": data})), AugmentConfig(), 0)
    batch = collate([without[0, 0]])
    assert isinstance(batch, Batch)
    assert batch.to(torch.device("cpu")).bank is None


@pytest.mark.parametrize(("model", "precision"), [("k", "fp32"), ("k", "bf16"), ("t", "fp32")])
def test_training_reads_banks_and_the_card_records_their_weights(
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    precision: str,
) -> None:
    from stadkit.models.classifiers import Classifier

    config = config.model_copy(update={"model": f"stmixer-{model}-tiny", "precision": precision})
    seen: list[tuple[bool, Any]] = []
    whole = Classifier.forward

    def watched(self: Classifier, x: Any, person: Any, bank: Bank | None = None) -> Any:
        seen.append((self.training, None if bank is None else sorted(bank.entry[..., 0].tolist())))
        return whole(self, x, person, bank)

    monkeypatch.setattr(Classifier, "forward", watched)
    epochs: list[dict[str, Any]] = []

    def report(kind: str, figures: dict[str, Any]) -> None:
        if kind == "epoch":
            epochs.append(figures)

    weights = train(config, tmp_path / "out", "cpu", False, report)
    around = [[0, 2], [1, 3]]  # of seconds 1 and 2
    assert len(seen) > 4
    for training, bank in seen:
        assert bank is not None
        assert all(row in around for row in bank), training
    assert {training for training, _ in seen} == {True, False}
    card = json.loads((tmp_path / "out" / "weights.json").read_text())["card"]
    assert card["settings"]["bank"] == "c" * 64
    assert len(epochs) == 2
    assert 0 <= epochs[-1]["frame_map"] <= 1
    made = load_file(weights)
    outs = [name for name in made if ".long.0.out.weight" in name]
    assert len(outs) == 1
    assert made[outs[0]].abs().max() > 0  # initialized with 0
    train(config, tmp_path / "out", "cpu", True, lambda *_: None)


def test_a_missing_bank_is_named(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "bank" / "b.queries").rename(tmp_path / "bank" / "other.queries")
    with pytest.raises(
        UsageError, match=r"has no query bank for 'b' \(missing for 1 of 2 videos of"
    ):
        source(config)


def settings_of(config: TrainConfig, **card: Any) -> dict[str, str]:
    known = zoo.card("stmixer-k-tiny")
    return bank_settings(config.data, replace(known, settings={**known.settings, **card}))


def test_the_weights_that_made_the_banks(config: TrainConfig, tmp_path: Path) -> None:
    assert settings_of(config, classifier="long") == {"bank": "c" * 64}
    with pytest.raises(UsageError, match=r"data\.train\.queries: only used by STMixer with"):
        settings_of(config, classifier="short")
    write_bank(tmp_path / "bank", "b", 4, sha256="d" * 64)
    with pytest.raises(UsageError, match="banks of different weights; make all with one"):
        settings_of(config, classifier="long")
    for place in ("train", "val"):
        bare = getattr(config.data, place).model_copy(update={"queries": None})
        lacking = config.model_copy(update={"data": config.data.model_copy(update={place: bare})})
        with pytest.raises(
            UsageError, match=rf"data\.{place}\.queries: missing; a model with classifier"
        ):
            settings_of(lacking, classifier="long")
    none = config.data.train.model_copy(update={"queries": tmp_path / "videos"})
    data = config.data.model_copy(update={"train": none})
    with pytest.raises(
        UsageError, match="videos: has no query banks; make them with `stadkit detect"
    ):
        settings_of(config.model_copy(update={"data": data}), classifier="long")
    plain = config.data.model_copy(
        update={"train": none.model_copy(update={"queries": None}), "val": None}
    )
    assert settings_of(config.model_copy(update={"data": plain})) == {}


def test_banks_that_do_not_fit_the_settings(config: TrainConfig) -> None:
    card = zoo.card("stmixer-k-tiny")
    train = config.data.train
    for changes, message in (
        ({"bank": "e" * 64, "width": 16}, "was trained on"),
        ({}, "reads 128"),
    ):
        wanting = replace(card, settings={**card.settings, **changes})
        with pytest.raises(StadkitError, match=message):
            Banks(train, ["a"], wanting)  # type: ignore[arg-type]


def ignore(*_: Any) -> None:
    """A report callback that does nothing."""


def test_resume_needs_banks_of_the_same_weights(config: TrainConfig, tmp_path: Path) -> None:
    out, path = tmp_path / "out", tmp_path / "out" / "checkpoint.pt"
    train(config, out, "cpu", False, ignore)
    for video in "ab":
        write_bank(tmp_path / "bank", video, 4, sha256="d" * 64)
    message = (
        r"checkpoint\.pt: learned from query banks of weights c{16}\.\.\., but "
        r"data\.train\.queries has banks of d{16}\.\.\.; make them with the former again, or use a "
        r"new output folder$"
    )
    with pytest.raises(UsageError, match=message):
        train(config, out, "cpu", True, ignore)
    state = torch.load(path, weights_only=True)
    assert state.pop("bank") == "c" * 64
    torch.save(state, path)  # as written before this field existed
    train(config, out, "cpu", True, ignore)


def test_damage_is_reported_before_training(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "bank" / "b.queries" / "entry.npy"
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    with pytest.raises(
        StadkitError, match=r"b\.queries/entry\.npy: has changed since it was written"
    ):
        source(config)


def test_banks_keep_no_files_open(config: TrainConfig) -> None:
    before = len(os.listdir("/dev/fd"))
    examples = source(config)
    assert all(examples[i].near is not None for i in range(4))
    assert len(os.listdir("/dev/fd")) == before


def test_a_window_must_be_positive(tmp_path: Path, config: TrainConfig) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace("window: 3", "window: 0", 1))
    with pytest.raises(UsageError, match=r"data\.train.*window"):
        read_config(tmp_path / "tiny.yaml")


def test_entries_of_a_batch_stay_and_earlier_ones_are_forgotten() -> None:
    banks = ClipBanks()
    for i in range(4):
        banks.near[f"{i}"] = (np.full((1, 2), i, np.float32), np.zeros(1, np.float32))
    names = [clip(0.0, f"{i}") for i in range(4)]
    for group, wanted in ((names[:2], [0, 1]), (names[:1], [0]), (names[1:2], [1])):
        assert banks.around(group).entry[:, 0, 0].tolist() == wanted
    assert sorted(banks.near) == ["1", "2", "3"]


def test_validation_without_a_bank(tmp_path: Path, config: TrainConfig) -> None:
    class Seen(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, *given: Any) -> Any:  # takes no bank
            return self.model(*given)

    card = zoo.card("stmixer-k-tiny")
    plain = {**config.settings, "classifier": "plain", "classes": 2}
    card = replace(card, settings={**card.settings, **plain}, classes=source(config).labels)
    scores = validate(Seen(zoo.build_card(card)), card, source(config), bf16=False)
    assert 0 <= scores["person_ap"] <= 1
