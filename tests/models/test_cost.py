"""Parameters and multiply-accumulates against hand counts and the paper's table."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stadkit.models.cost import cost
from stadkit.models.mestad import build
from stadkit.models.mestad_config import MestadConfig


class OneConvolution(nn.Module):
    frames = 2

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 4, (1, 3, 3), padding=(0, 1, 1))

    def forward(self, pixels: Tensor, sizes: Tensor) -> Tensor:
        return self.conv(pixels)  # type: ignore[no-any-return]


def test_a_convolution_by_hand() -> None:
    got = cost(OneConvolution(), 10)
    assert got == {"parameters": 3 * 4 * 9 + 4, "gmacs": 3 * 4 * 9 * 2 * 100 / 1e9}
    assert cost(OneConvolution(), 10, frames=4)["gmacs"] == 2 * got["gmacs"]


# Multiply-accumulates of one square clip with the head counted once; the paper's figures count
# the FCOS head twice, as it runs twice in training.
@pytest.mark.parametrize(
    ("settings", "size", "gmacs"),
    [
        ({"backbone": "slowfast-r50"}, 256, 104.9),
        ({"backbone": "slowonly-r50"}, 256, 49.1),
        ({"backbone": "slowfast-r101-nl"}, 256, 158.8),
        ({"backbone": "slowfast-r50"}, 320, 163.8),
        ({"pyramid": "res3-5"}, 256, 106.0),
        ({"pyramid": "res2-4"}, 256, 127.0),
    ],
)
def test_cost_of_the_published_models(settings: dict[str, Any], size: int, gmacs: float) -> None:
    with torch.device("meta"):
        model = build(MestadConfig(**settings))
    assert cost(model, size)["gmacs"] == pytest.approx(gmacs, rel=0.01)


def test_pool_first_non_local_costs_less() -> None:
    with torch.device("meta"):
        model = build(MestadConfig(backbone="slowfast-r101-nl", nonlocal_order="pool-first"))
    assert cost(model, 256)["gmacs"] == pytest.approx(158.8, rel=0.031)
