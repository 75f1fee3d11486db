"""Makes two trainings' layers the built-in model: float16 but for the last layer, and a checksum.

    python weights/ship.py runs/nano-jhmdb runs/nano-rendered

One was fitted to real people, the other to rendered ones; the rest of both is the same. From what
both trainings kept, a gate learns to tell real people from rendered ones. Prints the sha256 for
stadkit/zoo/catalogue.py.
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
    one, other = (load_file(folder / "weights.safetensors") for folder in (real, rendered))
    rest = {name for name in one if not name.startswith(HEAD)}
    if any(not torch.equal(one[name], other[name]) for name in rest):
        raise SystemExit("the two differ in more than their last layers")
    state = {name: one[name].half() for name in rest} | joined(one, other)
    state |= gate(state, real, rendered)
    zoo.build("mestad-nano").load_state_dict(state)
    notes = {"epochs": read_sidecar(real / "weights.safetensors")["epochs"]}
    print(save_weights(state, BUILT_IN, notes), BUILT_IN.stat().st_size)


def joined(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
    """The rows of both layers, as they read numbers less the first's centre, times its scale."""
    ratio = other[f"{HEAD}scale"] / one[f"{HEAD}scale"]
    weight = other[f"{HEAD}projection.weight"] * ratio
    moved = (one[f"{HEAD}center"] - other[f"{HEAD}center"]) * other[f"{HEAD}scale"]
    bias = other[f"{HEAD}projection.bias"] + other[f"{HEAD}projection.weight"] @ moved
    return {
        f"{HEAD}center": one[f"{HEAD}center"],
        f"{HEAD}scale": one[f"{HEAD}scale"],
        f"{HEAD}projection.weight": torch.cat([one[f"{HEAD}projection.weight"], weight]),
        f"{HEAD}projection.bias": torch.cat([one[f"{HEAD}projection.bias"], bias]),
    }


def gate(state: dict[str, Tensor], real: Path, rendered: Path) -> dict[str, Tensor]:
    """A layer that tells real people's descriptions from rendered people's."""
    tables = [described(folder) for folder in (real, rendered)]
    most = min(map(len, tables))
    tables = [table[torch.linspace(0, len(table) - 1, most).long()] for table in tables]
    head = FrameHead(tables[0].shape[1], 2, exclusive=(True,))
    label = torch.eye(2).repeat_interleave(most, 0)
    fit(head, torch.cat(tables), label, FitConfig(smoothing=0.02))
    ratio = head.scale / state[f"{HEAD}scale"]
    weight = (head.projection.weight * ratio).detach()
    moved = (state[f"{HEAD}center"] - head.center) * head.scale
    bias = (head.projection.bias + head.projection.weight @ moved).detach()
    return {f"{HEAD}gate.weight": weight, f"{HEAD}gate.bias": bias}


def described(folder: Path) -> Tensor:
    """The descriptions that a training keeps."""
    views = [np.load(path)["description"] for path in sorted(folder.glob(VIEWS))]
    return torch.from_numpy(np.concatenate(views))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
