"""The model in the wheel: small, whole, and able to find rendered people."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import stadkit
from stadkit import zoo
from stadkit.detect import Detector
from stadkit.training.config import PlaygroundSource
from stadkit.training.sources import Playground
from stadkit.training.validate import validate

NAME = "mestad-nano"
EXAMPLE = Path(__file__).parents[1] / "examples" / "playground.mp4"


@pytest.fixture(scope="module")
def detector() -> Detector:
    return stadkit.load(NAME, device="cpu", precision="fp32")


def test_at_most_sixteen_megabytes() -> None:
    path = zoo.weights_path(NAME)
    assert path is not None
    assert zoo.state(NAME) == "built in"
    assert path.stat().st_size <= 16_000_000


def test_at_most_three_gmac_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    # The counter knows torch's own convolution only.
    monkeypatch.setattr("stadkit.layers.conv.Conv3d._slow", lambda *_: False)
    model = zoo.build(NAME).eval()
    clip = torch.zeros(1, 3, 8, 224, 288)  # 4:3 at the card's short side, padded
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(clip, torch.tensor([[216, 288]]))
    assert 2.9e9 <= counter.get_total_flops() / 2 <= 3e9  # the card says 3.0


def test_finds_people_in_the_example(detector: Detector) -> None:
    tables = list(detector.detect(EXAMPLE, every=2.0))
    assert sum(len(table) for table in tables) >= len(tables)


def test_finds_rendered_people_it_has_not_seen(detector: Detector, tmp_path: Path) -> None:
    # Seeds below 1,000 are never trained on. Chance is near 0.
    source = Playground(PlaygroundSource(clips=24, seed=700), detector.card, tmp_path)
    figures = validate(detector.model, detector.card, source, bf16=False)
    assert figures["person_ap"] > 0.4
    assert figures["frame_map"] > 0.1


def test_an_empty_picture_holds_nobody(detector: Detector, tmp_path: Path) -> None:
    from stadkit.video.clips import Clip

    grey = np.full((8, 160, 208, 3), 128, np.uint8)
    clip = Clip("grey", grey, 0.0, np.zeros(8), (160, 208))
    assert [len(table) for table in detector.detect_clips([clip])] == [0]
