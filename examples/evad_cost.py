"""EVAD's cost at each keep rate, counted as in the paper and as computed here (lean).

    python examples/evad_cost.py

GMACs of convolutions and matrix products for one clip of 16 square frames; the paper's figures are
from its Tables 2 and 5.
"""

import torch

from stadkit.models.cost import cost
from stadkit.models.evad import EvadConfig, build
from stadkit.zoo import card

PAPER = {
    ("evad-vit-b", 224): {1.0: 223.8, 0.9: 186.3, 0.8: 157.0, 0.7: 134.2, 0.6: 116.3},
    ("evad-vit-b", 288): {1.0: 424.5, 0.9: 346.3, 0.8: 287.4, 0.7: 242.8, 0.6: 208.9},
    ("evad-vit-l", 224): {1.0: 707.9, 0.7: 409.4},
    ("evad-vit-l", 288): {0.7: 737.0},
}


def gmacs(name: str, pixels: int, rate: float, lean: bool) -> float:
    """GMACs of one clip of 16 frames of `pixels` x `pixels`."""
    settings = {**card(name).settings, "keep_rate": rate, "lean": lean}
    with torch.device("meta"):  # only shapes are needed
        model = build(EvadConfig(**settings))
    return cost(model, pixels)["gmacs"]


if __name__ == "__main__":
    print("| model | pixels | keep rate | paper | full | lean |\n|---|---|---|---|---|---|")
    for (name, pixels), rates in PAPER.items():
        for rate, paper in rates.items():
            counted, lean = (gmacs(name, pixels, rate, lean) for lean in (False, True))
            print(f"| {name} | {pixels} | {rate} | {paper} | {counted:.1f} | {lean:.1f} |")
