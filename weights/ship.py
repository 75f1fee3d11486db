"""Make a training's weights the built-in ones: float16, with their checksum.

    python weights/ship.py runs/nano/weights.safetensors

Prints the sha256 for the card in stadkit/zoo/cards.py.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from stadkit import zoo
from stadkit.zoo import read_sidecar, save_weights

BUILT_IN = Path(__file__).parents[1] / "stadkit" / "weights" / "mestad-nano.safetensors"


def main(trained: Path) -> None:
    # What only training reads, where the joints are, stays behind.
    kept = zoo.build("mestad-nano").state_dict()
    tensors = {
        name: value.half() if value.dtype == torch.float32 else value
        for name, value in load_file(trained).items()
        if name in kept
    }
    notes = {"epochs": read_sidecar(trained)["epochs"]}
    print(save_weights(tensors, BUILT_IN, notes), BUILT_IN.stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
