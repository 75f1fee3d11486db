"""What tests of several rooms share: a small video, and a detector that costs nothing."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch starts: a core each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

MakeVideo = Callable[..., Path]

# Tests press Ctrl-C, which a shell has what it starts with `&` ignore.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def as_online_as_before() -> Iterator[None]:
    """A command's --offline is of its process: here it ends with the test."""
    name = "HF_HUB_OFFLINE"
    before = os.environ.get(name)
    known = sys.modules.get("huggingface_hub.constants")
    flag = None if known is None else known.HF_HUB_OFFLINE
    yield
    os.environ.pop(name, None)
    if before is not None:
        os.environ[name] = before
    if now := sys.modules.get("huggingface_hub.constants"):
        now.HF_HUB_OFFLINE = bool(flag)  # type: ignore[attr-defined]


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """make_video(name, seconds=3, rate=10): an H.264 video of 64x48 whose red rises with time."""
    from stadkit.video.write import VideoWriter

    def make(name: str, seconds: float = 3.0, rate: int = 10) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with VideoWriter(path, 64, 48, rate) as writer:
            frames = round(seconds * rate)
            for i in range(frames):
                picture = np.zeros((48, 64, 3), np.uint8)
                picture[..., 0] = 255 * i // max(frames - 1, 1)
                writer.write(picture, i / rate)
        return path

    return make


@pytest.fixture
def fake_model() -> Any:
    """A model of two people: one of score .8 in the left half, one of .3 at the right edge.

    Action c of person p has probability (red of the key frame) / (1 + c + p); with proposals
    it gives those.
    """
    import torch
    from torch import Tensor, nn

    from stadkit.models import Outputs

    class Fake(nn.Module):
        calls = 0

        def forward(
            self, pixels: Tensor, sizes: Tensor, boxes: Any = None, scores: Any = None
        ) -> Outputs:
            self.calls += 1
            b = len(pixels)
            box = torch.tensor([[0.0, 0.1, 0.5, 0.9], [0.8, 0.2, 1.25, 0.7]]).repeat(b, 1, 1)
            person = torch.tensor([0.8, 0.3]).logit().repeat(b, 1)
            if boxes is not None:
                most = max(len(rows) for rows in boxes)
                box, person = torch.zeros(b, most, 4), torch.full((b, most), -torch.inf)
                for i, (rows, score) in enumerate(zip(boxes, scores, strict=True)):
                    box[i, : len(rows)] = rows
                    person[i, : len(rows)] = score.logit(1e-6)
            key = pixels.shape[2] // 2
            red = pixels[:, 0, key, 0, 0].float()  # [B] 0..1
            share = 1.0 / (1 + torch.arange(2) + torch.arange(box.shape[1])[:, None])  # [N, C]
            action = (red[:, None, None] * share).logit(1e-4)
            return Outputs(person, box[:, :, None], action)

    return Fake()


@pytest.fixture
def fake_card() -> Any:
    """Clips of 4 frames .1 s apart, short side 32; classes 3: wave and 7: sit."""
    from stadkit import zoo
    from stadkit.labels import Labels

    return replace(
        zoo.card("mestad-tiny"),
        classes=Labels((3, 7), ("wave", "sit")),
        frames=4,
        stride=3.0,
        key=2,
        short_side=32,
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
        min_person=0.5,
        min_action=0.1,
        batch=2,
    )


@pytest.fixture
def fake_detector(fake_model: Any, fake_card: Any) -> Any:
    """A Detector of the two above, on the CPU in fp32."""
    from stadkit.detection import Detector

    return Detector(fake_model, fake_card, "cpu", "fp32", "fake", "0" * 64)


@pytest.fixture
def pruning_detector(fake_model: Any, fake_card: Any) -> Any:
    """The same with a backbone beside it that drops patches of 16 pixels twice; clips are padded
    to multiples of 32."""
    from torch import Tensor, nn

    from stadkit.detection import Detector
    from stadkit.models.vit import Vit, VitConfig

    class Pruning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = VitConfig(
                width=8, depth=3, heads=2, base=(2, 2), maps_at=(0,), prune_at=(0, 2), keep_rate=0.8
            )
            self.backbone, self.heads = Vit(config), fake_model

        def forward(self, pixels: Tensor, *rest: Any) -> Any:
            self.backbone(pixels)
            return self.heads(pixels, *rest)

    return Detector(Pruning(), replace(fake_card, multiple=32), "cpu", "fp32", "fake", "0" * 64)
