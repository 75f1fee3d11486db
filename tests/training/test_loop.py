"""Training runs, learns, resumes to the same weights, and runs under torchrun."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from stadkit import zoo
from stadkit.detection import load
from stadkit.errors import StadkitError, UsageError, VideoError, WeightsError
from stadkit.layers.matching import Diverged
from stadkit.models import set_losses
from stadkit.training import loop
from stadkit.training.config import TrainConfig, read_config
from stadkit.training.init_weights import fill_frozen
from stadkit.training.loop import train
from stadkit.training.sources import ExampleSource, open_source
from stadkit.zoo.cards import to_json

CONFIG = """
model: mestad-tiny
settings: {width: 16, depth: 1, groups: 4}
data:
  train: {clips: 8, seed: 40, height: 72, width: 96}
  val: {clips: 2, seed: 5, height: 72, width: 96}
  store: clips
  workers: 0
augment: {short_side: [64, 80], crop: [64, 80]}
loss: {rois: jitter, ranges: [32, 64]}
optimizer: {name: adamw, lr: 0.002, clip_grad: 10}
schedule: {epochs: 2, warmup: 0.5}
batch: 4
ema: 0.9
"""


def config_file(folder: Path, text: str = CONFIG) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def config(folder: Path, text: str = CONFIG) -> TrainConfig:
    return read_config(config_file(folder, text))


class Watch:
    """Records the figures; interrupts after an epoch if set."""

    def __init__(self, stop_after: int = 0) -> None:
        self.epochs: list[dict[str, Any]] = []
        self.kinds: list[str] = []
        self.init: dict[str, Any] = {}
        self._stop_after = stop_after

    def __call__(self, kind: str, figures: dict[str, Any]) -> None:
        self.kinds.append(kind)
        if kind == "init":
            self.init = figures
        if kind == "epoch":
            self.epochs.append(figures)
            if len(self.epochs) == self._stop_after:
                raise KeyboardInterrupt


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, workers: int) -> None:
    settings = config(tmp_path, CONFIG.replace("workers: 0", f"workers: {workers}"))
    whole = load_file(train(settings, made(tmp_path / "whole"), "cpu", False, Watch()))
    broken = made(tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        train(settings, broken, "cpu", False, Watch(stop_after=1))
    after_one = load_file(broken / "weights.safetensors")
    resumed = load_file(train(settings, broken, "cpu", True, Watch()))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert any(not torch.equal(whole[name], after_one[name]) for name in whole)
    assert len((broken / "results.csv").read_text().splitlines()) == 3


def test_frozen_features_come_from_the_built_in_weights_and_stay(tmp_path: Path) -> None:
    held = load_file(zoo.find_weights("mestad-nano"))
    trained = load_file(train(config(tmp_path), tmp_path / "out", "cpu", False, Watch()))
    names = [name for name in trained if name.startswith("backbone.photo.")]
    assert len(names) == 2 * (1 + 12 * 3 + 2)
    for name in names:
        expected = held[name.replace("backbone.", "reader.")].float()
        assert torch.equal(trained[name], expected)


def test_frozen_parts_are_filled_wherever_they_are() -> None:
    held = load_file(zoo.find_weights("mestad-nano"))
    model = zoo.build("evad-tiny")
    fill_frozen(model)
    own = model.state_dict()
    names = [name for name in own if ".photo." in name]
    assert len(names) == 2 * (1 + 12 * 3 + 2)
    for name in names:
        expected = held[name.replace("backbone.patch_embed.", "reader.")].float()
        assert torch.equal(own[name], expected)


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_loss_falls_and_scores_are_written(tmp_path: Path) -> None:
    longer = CONFIG.replace("epochs: 2", "epochs: 6").replace("val:", "# val:")
    watch = Watch()
    train(config(tmp_path, longer), made(tmp_path / "out"), "cpu", False, watch)
    assert watch.epochs[-1]["person"] < 0.9 * watch.epochs[0]["person"]
    assert watch.epochs[-1]["action"] < watch.epochs[0]["action"]


def test_validation_scores(tmp_path: Path) -> None:
    watch = Watch()
    once = CONFIG.replace("epochs: 2", "epochs: 1") + "short_side: 60\n"
    weights = train(config(tmp_path, once), made(tmp_path / "out"), "cpu", False, watch)
    assert load(str(weights), "cpu").card.short_side == 60
    figures = watch.epochs[0]
    assert 0 <= figures["person_ap"] <= 1
    assert set(figures["per_class"]) >= {"stand", "walk"}


EVAD = """
model: evad-vit-b
settings:
  {token_order: position, width: 32, depth: 4, heads: 2, maps_at: [0, 1, 2, 3], prune_at: [1, 2],
   drop_path: 0, proposals: 8, people_width: 32, people_heads: 2, people_attention: 2,
   feedforward: 32, dynamic: 8, decoder_width: 16, decoder_depth: 2, decoder_heads: 2,
   decoder_drop_path: 0, classifier: 16}
data:
  train: {clips: 4, seed: 40, height: 64, width: 72}
  store: clips
  workers: 0
augment: {short_side: [48, 64], crop: null}
optimizer: {name: adamw, lr: 0.002, head_scale: 2, clip_grad: 0}
schedule: {epochs: 6, warmup: 1, shape: steps, steps: [5]}
batch: 2
"""


def test_evad_learns(tmp_path: Path) -> None:
    watch = Watch()
    train(config(tmp_path, EVAD), made(tmp_path / "out"), "cpu", False, watch)
    first, last = watch.epochs[0], watch.epochs[-1]
    assert {"person", "box", "giou", "action"} <= set(first)
    assert sum(last[k] for k in ("box", "giou")) < 0.8 * sum(first[k] for k in ("box", "giou"))


def test_evad_starts_from_released_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other frames, position order of tokens, and the licence of the initial weights."""
    text = EVAD.replace("epochs: 6", "epochs: 1").replace(", shape: steps, steps: [5]", "")
    text = text.replace("clips: 4", "clips: 2").replace("{token_order: position, ", "{frames: 10, ")
    settings = config(tmp_path, text).settings
    card = zoo.card("evad-vit-b")
    card = replace(card, settings={**card.settings, **settings})
    zoo.save_weights(
        {**zoo.build_card(card).state_dict(), "people.haeds.0": torch.zeros(1)},
        tmp_path / "theirs.safetensors",
        {"card": to_json(card)},
    )
    read: list[tuple[int, int]] = []

    def opened(data: Any, card: zoo.Card, store: Path) -> ExampleSource:
        read.append((card.frames, card.key))
        return open_source(data, card, store)

    monkeypatch.setattr(loop, "open_source", opened)
    watch = Watch()
    text += "init: theirs.safetensors\n"
    weights = train(config(tmp_path, text), made(tmp_path / "out"), "cpu", False, watch)
    assert "people.haeds.0" in watch.init["unused"]
    order, licence = watch.init["told"]
    assert order == (
        "trains with token_order: position; these weights were trained with importance"
    )
    assert licence == "licence of the trained weights: yours, from CC-BY-NC-4.0 weights"
    trained = zoo.read_sidecar(weights)["card"]
    assert trained["licence"] == "yours, from CC-BY-NC-4.0 weights"
    assert trained["settings"]["token_order"] == "position"
    assert [(trained["frames"], trained["key"])] == read == [(10, 5)]


def test_divergence_names_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any) -> None:
        raise Diverged("the cost became nan")

    monkeypatch.setattr(set_losses, "assign", lost)
    with pytest.raises(StadkitError, match=r"became nan at step 0; lower .* start again"):
        train(config(tmp_path, EVAD), made(tmp_path / "out"), "cpu", False, Watch())


@pytest.mark.parametrize(("limit", "asked"), [(0, []), (3, [3.0])])
def test_gradients_may_be_clipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float, asked: list[float]
) -> None:
    limits = []
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda _, most: limits.append(most))
    text = EVAD.replace("clip_grad: 0", f"clip_grad: {limit}").replace("clips: 4", "clips: 2")
    text = text.replace("epochs: 6", "epochs: 1").replace(", shape: steps, steps: [5]", "")
    train(config(tmp_path, text), made(tmp_path / "out"), "cpu", False, Watch())
    assert limits == asked


def test_another_config_does_not_resume(tmp_path: Path) -> None:
    out = made(tmp_path / "out")
    once = CONFIG.replace("epochs: 2", "epochs: 1")
    train(config(tmp_path, once), out, "cpu", False, Watch())
    other = config(tmp_path, once.replace("batch: 4", "batch: 2") + "seed: 1\n")
    with pytest.raises(UsageError, match="another batch, seed"):
        train(other, out, "cpu", True, Watch())


def test_starts_from_weights_or_says_why_it_cannot(tmp_path: Path) -> None:
    once = CONFIG.replace("epochs: 2", "epochs: 1").replace("val:", "# val:")
    first = train(config(tmp_path, once), made(tmp_path / "a"), "cpu", False, Watch())
    gentle = once.replace("lr: 0.002", "lr: 0.0000001") + f"init: {first}\n"
    second = train(config(tmp_path, gentle), made(tmp_path / "b"), "cpu", False, Watch())
    before, after = load_file(first)["fcos.cls.weight"], load_file(second)["fcos.cls.weight"]
    assert torch.allclose(before, after, atol=1e-5)
    (tmp_path / "page.pt").write_text("<!DOCTYPE html><html></html>")
    wrong = once + "init: page.pt\n"
    with pytest.raises(WeightsError, match="web page"):
        train(config(tmp_path, wrong), made(tmp_path / "c"), "cpu", False, Watch())


def test_a_failed_validation_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once, out = config(tmp_path, CONFIG.replace("epochs: 2", "epochs: 1")), made(tmp_path / "out")

    def fails(*_: Any) -> dict[str, Any]:
        raise VideoError("val.mp4: cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "validate", fails)
        with pytest.raises(VideoError):
            train(once, out, "cpu", False, Watch())
    watch = Watch()
    train(once, out, "cpu", True, watch)
    assert watch.epochs[0]["epoch"] == 1
    assert watch.kinds == ["epoch", "finished"]  # scored, not trained again
    assert len((out / "results.csv").read_text().splitlines()) == 2


def test_labels_of_validation_are_compared(tmp_path: Path) -> None:
    for name, label in (("train", "stand"), ("val", "walk")):
        (tmp_path / f"{name}.txt").write_text(f"1: {label}\n")
        (tmp_path / f"{name}.csv").write_text("a,1,0,0,.5,.5,1,0\n")
    made(made(tmp_path / "frames") / "a")
    lines = [
        f"  {name}: {{truth: {name}.csv, labels: {name}.txt, frames: frames}}"
        for name in ("train", "val")
    ]
    kept = [line for line in CONFIG.splitlines() if not line.startswith(("  train:", "  val:"))]
    text = "\n".join(kept).replace("data:", "\n".join(["data:", *lines]))
    with pytest.raises(UsageError, match=r"data\.val: its labels differ from data\.train"):
        train(config(tmp_path, text), made(tmp_path / "out"), "cpu", False, Watch())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_trains_on_a_gpu(tmp_path: Path) -> None:
    watch = Watch()
    train(config(tmp_path), made(tmp_path / "out"), "cuda", False, watch)
    assert len(watch.epochs) == 2


def test_unknown_loss_field_is_named(tmp_path: Path) -> None:
    text = CONFIG.replace("rois: jitter", "roys: jitter")
    with pytest.raises(UsageError, match=r"loss\.roys: unknown field"):
        train(config(tmp_path, text), made(tmp_path / "out"), "cpu", False, Watch())


@pytest.mark.slow
def test_torchrun_two_processes(tmp_path: Path) -> None:
    path, out = config_file(tmp_path), tmp_path / "out"
    run = "-m torch.distributed.run --standalone --nproc-per-node 2 -m stadkit train"
    command = [sys.executable, *run.split(), str(path), "--output", str(out), "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    weights = load_file(out / "weights.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert len((out / "results.csv").read_text().splitlines()) == 3
