"""Fitted heads: small tables by hand, thinned truth, and a whole training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import stadkit
from stadkit import zoo
from stadkit.detections import Detections
from stadkit.errors import UsageError
from stadkit.models.frame_head import FrameHead
from stadkit.training.config import AnnotatedSource, FitConfig, read_config
from stadkit.training.fitting import _cross_entropy, fit
from stadkit.training.loop import train
from stadkit.training.sources import Annotated, _thinned

SURE = FitConfig(l2=1e-6, smoothing=0.0)


def test_exclusive_classes_are_learned() -> None:
    torch.manual_seed(0)
    right = torch.arange(60) % 3
    action = torch.eye(3)[right]
    description = 50 + 5 * action + 0.1 * torch.randn(60, 3)
    head = FrameHead(3, 3, exclusive=(True,))
    assert fit(head, description, action, SURE, (3,)) < 0.05  # chance: 1.1
    found = head(description)
    assert torch.equal(found.argmax(1), right)
    torch.testing.assert_close(found.sigmoid().sum(1), torch.ones(60), atol=1e-3, rtol=0)
    torch.testing.assert_close(head.center, description.mean(0))


def test_independent_classes_are_learned() -> None:
    torch.manual_seed(0)
    action = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]).repeat(20, 1)
    description = torch.cat([3 * action, torch.full((80, 1), 7.0)], 1)  # the last is constant
    head = FrameHead(3, 2)
    noisy = description + 0.1 * torch.randn(80, 3)
    assert fit(head, noisy, action, SURE, (2, 1)) < 0.1  # chance: 1.4
    assert torch.equal((head(description) > 0).float(), action)


def test_unknown_labels_are_ignored() -> None:
    said = torch.zeros(2, 2)
    action = torch.tensor([[1.0, float("nan")], [0, 1]])
    loss = _cross_entropy(said, action, exclusive=False, smoothing=0.0)
    assert float(loss) == pytest.approx(3 * np.log(2) / 2)  # three labels, two boxes
    alone = torch.tensor([[0.0, float("nan"), 1]])
    sure = torch.tensor([[0.0, 0, 20]])
    assert float(_cross_entropy(sure, alone, exclusive=True, smoothing=0.0)) < 1e-6


def truth(times: dict[str, list[float]]) -> Detections:
    """One person at each of these times of each video."""
    rows = [(video, time) for video, own in times.items() for time in own]
    n = len(rows)
    return Detections(
        video=np.array([video for video, _ in rows], np.str_),
        time=np.array([time for _, time in rows], np.float64),
        box=np.tile(np.float32([0.1, 0.1, 0.5, 0.9]), (n, 1)),
        person=np.ones(n, np.float32),
        action=np.ones((n, 1), np.float32),
        track=np.full(n, -1, np.int32),
        classes=("stand",),
    )


def test_every_nth_labelled_frame_stays() -> None:
    given = truth({"b": [9.0, 8.0], "a": [0.0, 1, 1, 2, 3, 4, 5, 6], "c": [4.0]})
    found = _thinned(given, 3)  # of a's seven frames the second and fifth, of b's two the last
    assert list(zip(found.video.tolist(), found.time.tolist(), strict=True)) == [
        *(("b", 9), ("a", 1), ("a", 1), ("a", 4), ("c", 4))
    ]
    assert len(_thinned(given, 1)) == len(given)
    assert _thinned(given, 100).time.tolist() == [9, 3, 4]


def test_tubelets_need_every_labelled_frame(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("1 stand\n")
    (tmp_path / "truth.csv").write_text("a,0.0,0.1,0.1,0.5,0.9,1,0\n")
    card = zoo.card("stmixer-t-tiny")
    given = AnnotatedSource(
        truth=tmp_path / "truth.csv", labels=tmp_path / "labels.txt", videos=tmp_path, thin=2
    )
    with pytest.raises(UsageError, match="thin: tubelet models need every labelled frame"):
        Annotated(given, card, tmp_path / "store")


CONFIG = """
model: mestad-nano
data:
  train: {clips: 3, seed: 40, height: 96, width: 96}
  store: clips
  workers: 0
augment: {short_side: [96, 96], crop: null}
schedule: {epochs: 2, warmup: 0}
batch: 3
"""


class Watch:
    """Records the figures of epochs; interrupts after `stop`."""

    def __init__(self, stop_after: int = 0) -> None:
        self.epochs: list[dict[str, Any]] = []
        self._stop_after = stop_after

    def __call__(self, kind: str, figures: dict[str, Any]) -> None:
        if kind == "epoch":
            self.epochs.append(figures)
            if len(self.epochs) == self._stop_after:
                raise KeyboardInterrupt


def run(folder: Path, name: str, more: str = "", resume: bool = False, stop: int = 0) -> Path:
    (folder / "fit.yaml").write_text(CONFIG + more)
    out = folder / name
    out.mkdir(exist_ok=True)
    return train(read_config(folder / "fit.yaml"), out, "cpu", resume, Watch(stop))


def test_a_training_is_stopped_resumed_and_loaded(tmp_path: Path) -> None:
    whole = load_file(run(tmp_path, "whole"))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "broken", stop=1)
    view = tmp_path / "broken" / "view-1.npz"
    before = view.stat().st_mtime_ns
    path = run(tmp_path, "broken", resume=True)
    assert view.stat().st_mtime_ns == before
    assert (tmp_path / "broken" / "view-2.npz").exists()
    resumed = load_file(path)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert whole["head.projection.weight"].abs().max() > 0
    held = load_file(zoo.find_weights("mestad-nano"))
    # Frozen parts are the built-in model's, even without `init`.
    for name in ("reader.photo.wide.weight", "backbone.picture.stem.weight", "fcos.convs.0.bias"):
        assert torch.equal(whole[name], held[name].float())
    detector = stadkit.load(str(path), device="cpu", precision="fp32")
    assert len(detector.card.classes) == 14  # the Playground's
    run(tmp_path, "broken", stop=0)  # deletes an earlier training's views
    assert view.stat().st_mtime_ns != before


@pytest.mark.parametrize(
    "more",
    [
        "ema: 0.9\n",
        "loss: {rois: gt}\n",
        "optimizer: {lr: 0.1}\n",
        "semi: {burn_in: 1, strategy: ema}\n",
    ],
)
def test_fields_that_a_fit_does_not_use_are_named(tmp_path: Path, more: str) -> None:
    with pytest.raises(
        UsageError, match=f"{more.split(':')[0]}: not used, as mestad-nano is fitted"
    ):
        run(tmp_path, "out", more)
