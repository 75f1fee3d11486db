"""NanoDet against the published graph in TensorFlow.js, on weights from a formula."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stadkit.models import nanodet
from stadkit.models.nanodet import Guesses, NanoDet

STORED = Path(__file__).parents[1] / "data" / "nanodet_filled.npz"


def filled(model: NanoDet) -> dict[str, Tensor]:
    """Sine waves at the scale of trained weights, in float16 as in the published file."""
    out = {}
    for number, (name, value) in enumerate(model.state_dict().items()):
        at = torch.arange(value.numel(), dtype=torch.float64)
        wave = torch.cos(at * (0.37 + 0.011 * number) + number)
        size = 1.6 * (2 / value[0].numel()) ** 0.5 if value.ndim > 1 else 0.2
        out[name] = (wave * size).view(value.shape).half().float()
    return out


def picture(side: int = 416) -> Tensor:
    """An image of sine waves [1, 3, side, side] at the scale of normalised levels."""
    at = torch.arange(side, dtype=torch.float64)
    y, x = torch.meshgrid(at, at, indexing="ij")
    waves = [
        torch.sin(x / 7 + c) * torch.cos(y / 11 - c) + torch.sin((x + y) / (23 + 3 * c))
        for c in range(3)
    ]
    return torch.stack(waves)[None].float()


@torch.no_grad()
def test_outputs_equal_the_published_graphs():
    model = NanoDet().eval()
    model.load_state_dict(filled(model))
    guesses = model(picture())
    stored = np.load(STORED)
    objects = guesses.objects[0].sigmoid().numpy()[stored["at"]]
    sides = guesses.sides[0].flatten(1).numpy()[stored["at"]]
    assert len(stored["at"]) == 87  # of 52 * 52 + 26 * 26 + 13 * 13 points, every 41st
    assert np.ptp(stored["sides"]) > 0.5
    np.testing.assert_allclose(objects, stored["objects"], atol=1e-5)
    np.testing.assert_allclose(sides, stored["sides"], atol=3e-5)


def test_a_side_is_the_mean_of_its_distribution():
    sides = torch.full((1, 1, 4, nanodet.BINS), -50.0)
    sides[0, 0, 0, 2] = 0.0  # left: 2 strides
    sides[0, 0, 1, [3, 4]] = 0.0  # top: 3.5
    sides[0, 0, 2, 10] = 0.0  # right: 10
    sides[0, 0, 3, 0] = 0.0  # bottom: 0
    one = torch.tensor([16.0])
    guesses = Guesses(
        torch.zeros(1, 1, nanodet.OBJECTS), sides, torch.tensor([[100.0, 90.0]]), one, one.long()
    )
    assert guesses.box()[0, 0].tolist() == pytest.approx([68, 34, 260, 90])


@torch.no_grad()
def test_points_are_cells_row_by_row_half_a_pixel_up_and_left():
    guesses = NanoDet().eval()(torch.zeros(1, 3, 64, 96))
    assert len(guesses.point) == 8 * 12 + 4 * 6 + 2 * 3
    assert guesses.point[1].tolist() == [11.5, 3.5]
    assert guesses.point[8 * 12].tolist() == [7.5, 7.5]
    assert guesses.stride[-1] == 32
    assert guesses.level[-1] == 2
    assert guesses.objects.shape == (1, 126, 80)


def test_number_of_weights_equals_the_published():
    assert sum(p.numel() for p in NanoDet().parameters()) == 3_786_068
