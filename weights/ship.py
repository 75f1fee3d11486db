"""Joins two trainings into the built-in model: float16 except for the last layer.

    python weights/ship.py runs/nano-jhmdb runs/nano-rendered

The first was fitted to real people, the second to rendered ones; they share all other weights. A
gate that distinguishes real from rendered people is fitted to the features both trainings kept.
Prints the sha256 for stadkit/zoo/catalogue.py.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from stadkit import zoo
from stadkit.models.frame_head import FrameHead
from stadkit.training.config import FitConfig
from stadkit.training.fitting import VIEWS, fit
from stadkit.zoo import read_sidecar, save_weights

BUILT_IN = Path(__file__).parents[1] / "stadkit" / "weights" / "mestad-nano.safetensors"
HEAD = "head."


def main(real: Path, rendered: Path) -> None:
    first, second = (load_file(folder / "weights.safetensors") for folder in (real, rendered))
    shared = {name for name in first if not name.startswith(HEAD)}
    if any(not torch.equal(first[name], second[name]) for name in shared):
        raise SystemExit("the two trainings differ in more than their last layers")
    state = {name: first[name].half() for name in shared} | joined(first, second)
    state |= gate(state, real, rendered)
    zoo.build("mestad-nano").load_state_dict(state)
    notes = {"epochs": read_sidecar(real / "weights.safetensors")["epochs"]}
    print(save_weights(state, BUILT_IN, notes), BUILT_IN.stat().st_size)


def joined(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, Tensor]:
    """The rows of both layers, for features normalized by the first's center and scale."""
    ratio = second[f"{HEAD}scale"] / first[f"{HEAD}scale"]
    weight = second[f"{HEAD}projection.weight"] * ratio
    offset = (first[f"{HEAD}center"] - second[f"{HEAD}center"]) * second[f"{HEAD}scale"]
    bias = second[f"{HEAD}projection.bias"] + second[f"{HEAD}projection.weight"] @ offset
    return {
        f"{HEAD}center": first[f"{HEAD}center"],
        f"{HEAD}scale": first[f"{HEAD}scale"],
        f"{HEAD}projection.weight": torch.cat([first[f"{HEAD}projection.weight"], weight]),
        f"{HEAD}projection.bias": torch.cat([first[f"{HEAD}projection.bias"], bias]),
    }


def gate(state: dict[str, Tensor], real: Path, rendered: Path) -> dict[str, Tensor]:
    """Fit a layer that distinguishes features of real people from those of rendered people."""
    tables = [read_features(folder) for folder in (real, rendered)]
    count = min(map(len, tables))
    tables = [table[torch.linspace(0, len(table) - 1, count).long()] for table in tables]
    head = FrameHead(tables[0].shape[1], 2, exclusive=(True,))
    label = torch.eye(2).repeat_interleave(count, 0)
    fit(head, torch.cat(tables), label, FitConfig(smoothing=0.02))
    ratio = head.scale / state[f"{HEAD}scale"]
    weight = (head.projection.weight * ratio).detach()
    offset = (state[f"{HEAD}center"] - head.center) * head.scale
    bias = (head.projection.bias + head.projection.weight @ offset).detach()
    return {f"{HEAD}gate.weight": weight, f"{HEAD}gate.bias": bias}


def read_features(folder: Path) -> Tensor:
    """The people's features that a training has kept."""
    views = [np.load(path)["description"] for path in sorted(folder.glob(VIEWS))]
    return torch.from_numpy(np.concatenate(views))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
