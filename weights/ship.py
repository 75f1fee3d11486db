"""Makes two trainings' layers the built-in model: float16 but for the last layer, and a checksum.

    python weights/ship.py runs/nano-jhmdb/weights.safetensors \\
        runs/nano-rendered/weights.safetensors

One was fitted to real people, the other to rendered ones; the rest of both is the same. Prints the
sha256 for stadkit/zoo/nano_fields.py.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from stadkit import zoo
from stadkit.zoo import read_sidecar, save_weights

BUILT_IN = Path(__file__).parents[1] / "stadkit" / "weights" / "mestad-nano.safetensors"
HEAD = "head."


def main(real: Path, rendered: Path) -> None:
    one, other = load_file(real), load_file(rendered)
    rest = {name for name in one if not name.startswith(HEAD)}
    if any(not torch.equal(one[name], other[name]) for name in rest):
        raise SystemExit("the two differ in more than their last layers")
    state = {name: one[name].half() for name in rest} | joined(one, other)
    zoo.build("mestad-nano").load_state_dict(state)
    notes = {"epochs": read_sidecar(real)["epochs"]}
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
