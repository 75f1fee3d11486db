"""Descriptors of a person over all frames: size, change over time, influence of padding."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stadkit.models import lite, motion, nanodet
from stadkit.models.frame_reader import NUMBERS, FrameReader, over_time


@pytest.fixture(scope="module")
def reader() -> FrameReader:
    """A reader with random weights that preserve the scale of activations."""
    torch.manual_seed(3)
    made = FrameReader(torch.tensor(nanodet.MEAN), torch.tensor(nanodet.STD)).eval()
    for weight in made.photo.parameters():
        if weight.ndim > 1:
            torch.nn.init.kaiming_normal_(weight)
        else:
            torch.nn.init.normal_(weight, std=0.1)
    return made


def clips(count: int = 1, height: int = 96, width: int = 96) -> Tensor:
    """Smooth noise that moves a little, as normalised model input."""
    random = torch.Generator().manual_seed(1)
    coarse = torch.randn(count * 3, 1, 6, height // 8, width // 8, generator=random)
    fine = F.interpolate(coarse, size=(4, height, width), mode="trilinear", align_corners=False)
    return fine.view(count, 3, 4, height, width)


def describe(
    reader: FrameReader, pixels: Tensor, sizes: list[tuple[int, int]], boxes: list[list[float]]
) -> Tensor:
    index = torch.arange(len(boxes)) % len(sizes)
    with torch.no_grad():
        maps = reader(pixels, torch.tensor(sizes))
        return reader.describe(maps, torch.tensor(boxes).view(-1, 4), index)


def test_descriptor_size(reader: FrameReader) -> None:
    # Three statistics over time of each channel: 1280 of the box, 1280 of the frame, 112 each of
    # mean and maximum; and 24 directions in 16 cells.
    assert NUMBERS == 3 * (1280 + 1280 + 112 + 112) + 24 * 16 == 8736
    boxes = [[10.0, 10, 50, 90], [40.0, 0, 96, 96], [-9.0, 20, 30, 120]]
    found = describe(reader, clips(2), [(96, 96)] * 2, boxes)
    assert found.shape == (3, NUMBERS)
    assert found.isfinite().all()
    assert describe(reader, clips(2), [(96, 96)] * 2, []).shape == (0, NUMBERS)


def test_over_time_by_hand() -> None:
    numbers = torch.tensor([[[0.0, 1], [2, 1], [7, 1]]])  # [1, 3 frames, 2]
    mean, deviation, change = over_time(numbers).view(3, 2).tolist()
    assert mean == [3, 1]
    assert deviation == pytest.approx([13**0.5, 0])  # (9 + 1 + 16) / 2
    assert change == [3.5, 0]


def test_a_still_clip_has_no_change_over_time(reader: FrameReader) -> None:
    still = clips()[:, :, :1].expand(-1, -1, 4, -1, -1)
    (found,) = describe(reader, still, [(96, 96)], [[10.0, 10, 50, 90]])
    parts = found[: -motion.NUMBERS].split([lite.WIDE] * 6 + [2 * lite.CHANNELS[2]] * 3)
    for number, part in enumerate(parts):
        most = part.abs().max()
        assert most > 0.1 if number % 3 == 0 else most < 1e-3
    assert found[-motion.NUMBERS :].abs().max() < 0.05


def test_lite_gets_levels_normalised_as_in_its_training(
    reader: FrameReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A level of 191.25 in each channel is 1 for Lite, whatever the clip's normalisation."""
    seen: list[Tensor] = []
    whole = lite.WholeLite.forward
    monkeypatch.setattr(
        lite.WholeLite, "forward", lambda self, x: [seen.append(x), whole(self, x)][1]
    )
    bright = (191.25 - reader.mean) / reader.std  # [3, 1, 1]
    describe(reader, bright[:, None].expand(1, 3, 4, 96, 96), [(96, 96)], [[0.0, 0, 50, 50]])
    frames = torch.cat(seen)
    assert frames.shape == (1, 3, 64, 64)  # all frames are equal, so one; two thirds per side
    torch.testing.assert_close(frames, torch.ones_like(frames))


def test_padding_has_little_influence(reader: FrameReader) -> None:
    """Padding at the bottom and right affects convolutions at its edge only; boxes and means do not
    read it."""
    pixels, boxes = clips(1, 288, 288), [[10.0, 5, 120, 150]]
    alone = describe(reader, pixels, [(288, 288)], boxes)
    beside = describe(reader, F.pad(pixels, (0, 96, 0, 96)), [(288, 288)], boxes)
    assert (beside - alone).norm() < 0.2 * alone.norm()


def test_clips_of_a_batch_are_independent(reader: FrameReader) -> None:
    pixels, boxes = clips(2), [[10.0, 5, 50, 60], [30.0, 20, 90, 80]]
    together = describe(reader, pixels, [(96, 96)] * 2, boxes)
    for number in range(2):
        (alone,) = describe(reader, pixels[number : number + 1], [(96, 96)], [boxes[number]])
        torch.testing.assert_close(together[number], alone, atol=1e-3, rtol=1e-3)
