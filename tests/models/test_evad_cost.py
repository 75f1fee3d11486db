"""EVAD's cost against the authors' code and the paper's Table 2."""

import pytest
import torch

from stadkit.models.cost import cost
from stadkit.models.evad import EvadConfig, build
from stadkit.zoo.cards import CARDS

# model, pixels, keep rate: GMACs as fvcore counts the authors' code
COUNTED = [
    ("evad-vit-b", 224, 1.0, 223.82),
    ("evad-vit-b", 224, 0.9, 186.29),
    ("evad-vit-b", 224, 0.8, 157.00),
    ("evad-vit-b", 224, 0.7, 134.17),
    ("evad-vit-b", 224, 0.6, 116.26),
    ("evad-vit-b", 288, 1.0, 424.52),
    ("evad-vit-b", 288, 0.9, 346.29),
    ("evad-vit-b", 288, 0.8, 287.37),
    ("evad-vit-b", 288, 0.7, 242.77),
    ("evad-vit-b", 288, 0.6, 208.87),
    ("evad-vit-l", 224, 1.0, 707.89),
    ("evad-vit-l", 224, 0.7, 409.41),
    ("evad-vit-l", 288, 0.7, 737.11),
    ("evad-vit-l", 288, 1.0, 1324.81),
]


@pytest.mark.parametrize(("name", "pixels", "rate", "gmacs"), COUNTED)
def test_cost_equals_the_papers(name: str, pixels: int, rate: float, gmacs: float) -> None:
    config = EvadConfig(**{**CARDS[name].settings, "keep_rate": rate, "lean": False})
    with torch.device("meta"):
        model = build(config)
    counted = cost(model, pixels)
    assert counted["gmacs"] == pytest.approx(gmacs, rel=0.005)
    millions = {"evad-vit-b": 185.360, "evad-vit-l": 439.535}[name]
    # fvcore counts two constants of the loss as parameters.
    assert counted["parameters"] / 1e6 == pytest.approx(millions, abs=0.001)
