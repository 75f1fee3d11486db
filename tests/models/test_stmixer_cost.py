"""STMixer's parameters and MACs against the authors' code."""

import pytest
import torch

from stadkit.models.cost import cost
from stadkit.models.stmixer import StmixerConfig, build

# Millions of parameters and GMACs at 256 x 256, counted on the authors' code.
REFERENCE = [
    ("slowonly-r50", 4, 184.5, 45.8),
    ("slowfast-r50", 32, 194.1, 88.2),
    ("slowfast-r101-nl", 32, 219.6, 138.0),
    ("vit-b", 16, 255.9, 358.6),
]


@pytest.mark.parametrize(("backbone", "frames", "parameters", "gmacs"), REFERENCE)
def test_cost_equals_the_reference(
    backbone: str, frames: int, parameters: float, gmacs: float
) -> None:
    with torch.device("meta"):
        model = build(StmixerConfig(backbone=backbone, frames=frames))
    counted = cost(model, 256, frames)
    assert counted["parameters"] / 1e6 == pytest.approx(parameters, abs=0.06)
    assert counted["gmacs"] == pytest.approx(gmacs, rel=0.02)
