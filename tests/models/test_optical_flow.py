"""Flow of images with a known shift; warping and gradients by hand."""

import pytest
import torch
from torch import Tensor

from stadkit.models.optical_flow import gradient, optical_flow, warp

INSIDE = slice(16, -16)  # the border is visible in one image only


def texture(x_shift: float = 0.0, y_shift: float = 0.0, seed: int = 0) -> Tensor:
    """Waves of many wavelengths, shifted by these pixels: [1, 1, 64, 96], levels 0..1."""
    random = torch.Generator().manual_seed(seed)
    y = torch.arange(64.0)[:, None] - y_shift
    x = torch.arange(96.0) - x_shift
    total = torch.zeros(64, 96)
    for _ in range(24):
        across, down, phase = torch.rand(3, generator=random).tolist()
        total += torch.sin((across - 0.5) * x + (down - 0.5) * y + 6.3 * phase)
    return (0.5 + total / 24)[None, None]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.7), (-2.5, 1.25), (6.0, 4.0)])
def test_flow_equals_the_shift(shift: tuple[float, float]) -> None:
    flow = optical_flow(texture(), texture(*shift))
    assert flow.shape == (1, 2, 64, 96)
    wanted = torch.tensor(shift)[:, None, None]
    away = (flow[0, :, INSIDE, INSIDE] - wanted).abs()
    assert away.mean() < 0.1
    assert away.max() < 0.6


def test_images_of_a_batch_are_independent() -> None:
    first = torch.cat([texture(), texture(seed=1)])
    second = torch.cat([texture(1.0, 0.0), texture(0.0, -1.0, seed=1)])
    together = optical_flow(first, second)
    for number in range(2):
        one = slice(number, number + 1)
        torch.testing.assert_close(together[one], optical_flow(first[one], second[one]))


def test_flat_images_have_no_flow() -> None:
    flat = torch.full((1, 1, 32, 40), 0.4)
    assert optical_flow(flat, flat).abs().max() == 0
    assert optical_flow(flat, flat + 0.2).abs().max() == 0  # a brightness change is no motion


def test_warp_by_hand() -> None:
    picture = torch.tensor([[0.0, 1, 2], [3, 4, 8]])[None, None]
    right = torch.stack([torch.ones(2, 3), torch.zeros(2, 3)])[None]
    assert warp(picture, right)[0, 0].tolist() == [[1, 2, 2], [4, 8, 8]]
    half = torch.stack([torch.full((2, 3), 0.5), torch.zeros(2, 3)])[None]
    assert warp(picture, half)[0, 0].tolist() == [[0.5, 1.5, 2], [3.5, 6, 8]]
    down = torch.stack([torch.zeros(2, 3), torch.ones(2, 3)])[None]
    assert warp(picture, down)[0, 0].tolist() == [[3, 4, 8], [3, 4, 8]]


def test_gradient_by_hand() -> None:
    x, y = gradient(torch.tensor([[0.0, 1, 4, 9], [2, 3, 6, 11]])[None, None])
    assert x[0, 0].tolist() == [[0.5, 2, 4, 2.5]] * 2
    assert y[0, 0].tolist() == [[1.0] * 4] * 2
