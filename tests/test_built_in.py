"""The model in the wheel: small, whole, and able to find rendered people."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import stadkit
from stadkit import boxes, zoo
from stadkit.detection import Detector
from stadkit.training.clips import shrink
from stadkit.training.config import PlaygroundSource
from stadkit.training.sources import Playground
from stadkit.video.clips import Clip

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


def test_at_most_five_gmac_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    # The counter knows torch's own convolution only.
    for module in ("stadkit.layers.conv", "stadkit.models.nanodet"):
        monkeypatch.setattr(f"{module}.fusible", lambda *_: False)
    model = zoo.build(NAME).eval()
    clip = torch.randn(1, 3, 8, 288, 384)  # 4:3 at the card's short side; no frame twice
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(clip, torch.tensor([[288, 384]]))
    assert 4.3e9 <= counter.get_total_flops() / 2 <= 5e9  # weights/README.md says 4.5


def test_finds_people_in_the_example(detector: Detector) -> None:
    tables = list(detector.detect(EXAMPLE, every=2.0))
    assert sum(len(table) for table in tables) >= len(tables)


def test_finds_rendered_people_it_has_not_seen(detector: Detector, tmp_path: Path) -> None:
    # Seeds below 1,000 are never trained on. Chance is near 0.
    source = Playground(PlaygroundSource(clips=24, seed=700), detector.card, tmp_path)
    wanted = [detector.card.classes.names.index(name) for name in source.labels.names]
    right = people = said = 0
    for number in range(len(source)):
        example = source[number]
        (found,) = detector.detect_clips([shown(detector, example.clip)])
        people += len(example.box)
        if not len(found) or not len(example.box):
            continue
        shared = boxes.iou(example.box, found.box)
        for person in np.flatnonzero(shared.max(1) >= 0.5):
            right += 1
            best = found.action[shared[person].argmax(), wanted].argmax()
            said += int(example.action[person, best] == 1)
    assert right > 0.4 * people
    assert said > 0.4 * right  # chance is a tenth


def shown(detector: Detector, clip: Clip) -> Clip:
    """A clip at the size at which the model looks."""
    small = np.stack([shrink(frame, detector.cut) for frame in clip.pixels])
    return replace(clip, pixels=small)


def test_an_empty_picture_holds_nobody(detector: Detector, tmp_path: Path) -> None:
    grey = np.full((8, 160, 208, 3), 128, np.uint8)
    clip = Clip("grey", grey, 0.0, np.zeros(8), (160, 208))
    assert [len(table) for table in detector.detect_clips([clip])] == [0]


def test_what_people_do_does_not_hang_on_who_else_is_looked_at(detector: Detector) -> None:
    from stadkit.video.decode import open_video

    model = detector.model
    with open_video(EXAMPLE) as video:
        frame = next(iter(video)).rgb(288, 384)
    still = torch.from_numpy(frame).permute(2, 0, 1)[None, :, None].expand(1, 3, 8, 288, 384)
    mean, std = (torch.tensor(x).view(3, 1, 1, 1) for x in (detector.card.mean, detector.card.std))
    pixels, sizes = (still.float() - mean) / std, torch.tensor([[288, 384]])
    with torch.inference_mode():
        found = model(pixels, sizes)
        there = found.person[0].isfinite()
        assert 0 < int(there.sum()) < len(there)
        assert bool((found.person[0][there].sigmoid() >= 0.05).all())
        given = model(pixels, sizes, [found.box[0, there, 0]], [found.person[0, there].sigmoid()])
    torch.testing.assert_close(given.action[0], found.action[0, there], atol=1e-3, rtol=1e-3)
