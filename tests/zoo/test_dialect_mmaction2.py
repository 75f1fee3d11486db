"""Every layout of mmaction2's two-stage detector files fits its models."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stadkit import zoo
from stadkit.layers.attention import sinusoid
from stadkit.zoo import fitting, importing
from stadkit.zoo.dialects import two_stage

KEYS = Path(__file__).parents[1] / "data" / "mmaction2" / "keys.json.gz"
# First digits of the hash of a layout's keys -> its models.
LAYOUTS = {
    "012aa8b6": ["roi-slowonly-r101-8x8-ava21"],
    "0b067df0": ["roi-slowfast-4x16-ava21"],
    "12329420": ["roi-slowonly-4x16-nl-ava21", "roi-slowonly-8x8-nl-ava21"],
    "13b4091d": ["roi-slowonly-4x16-multisports"],
    "32327690": ["roi-slowfast-4x16-multisports"],
    "40a2be12": ["roi-vit-b-ak"],
    "5328afc6": ["roi-slowonly-8x8-context-ak", "roi-slowonly-8x8-context-max-ak"],
    "57fa4c87": ["roi-slowfast-8x8-acrn-ava21", "roi-slowfast-8x8-acrn-ava22"],
    "5a153d2b": [
        "roi-slowonly-4x16-ava21",
        "roi-slowonly-4x16-k700-ava21",
        "roi-slowonly-4x16-ak",
        "roi-slowonly-4x16-k700-ak",
        "roi-slowonly-8x8-ak",
        "roi-slowonly-8x8-k700-ak",
    ],
    "749e8719": ["roi-vit-l-ak"],
    "90488f1a": [
        "roi-slowonly-8x8-mlp-ak",
        "roi-slowonly-8x8-mlp-focal-ak",
        "roi-slowonly-16x4-mlp-ak",
    ],
    "ca3d7c03": ["roi-slowfast-4x16-context-ava21"],
    "dc836df8": [
        "roi-slowfast-8x8-ava21",
        "roi-slowfast-8x8-ava22",
        "roi-slowfast-8x8-max-ava22",
        "roi-slowfast-8x8-max-focal-ava22",
    ],
}


@cache
def shapes() -> dict[str, dict[str, list[int]]]:
    """{layout: {name: shape}} of all 13 layouts."""
    held: dict[str, dict[str, list[int]]] = json.loads(gzip.decompress(KEYS.read_bytes()))
    return held


def tensors(layout: str) -> dict[str, Tensor]:
    """A layout's tensors, each filled with its own number without using memory."""
    held = {}
    for number, (name, shape) in enumerate(shapes()[layout].items(), 1):
        value = torch.tensor(number if name.endswith("tracked") else float(number))
        held[name] = value.expand(shape)
        if name.endswith("pos_embed"):
            held[name] = sinusoid(*shape[1:])[None]
    return held


def test_every_layout_and_every_card_of_it_is_here() -> None:
    assert LAYOUTS.keys() == shapes().keys()
    known = {name for name, card in zoo.CARDS.items() if card.origin == "mmaction2"}
    assert sorted(known) == sorted(name for names in LAYOUTS.values() for name in names)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_file_of_each_layout_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    """Everything but writing the file, of up to a gigabyte."""
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    kept: dict[str, Tensor] = {}
    monkeypatch.setattr(importing, "save_weights", lambda tensors, *_: kept.update(tensors))
    given = tensors(layout)
    torch.save({"meta": {"epoch": 8, "cfg": ""}, "state_dict": given}, tmp_path / "x.pth")
    zoo.import_file(tmp_path / "x.pth", LAYOUTS[layout][0])
    assert len(kept) == len(given) - ("backbone.pos_embed" in given)
    numbers = {name: int(value.flatten()[0]) for name, value in kept.items()}
    order = {name: number for number, name in enumerate(given, 1)}
    assert sorted(numbers.values()) == sorted(n for k, n in order.items() if "pos_emb" not in k)
    assert numbers["head.projection.bias"] == order[last(given)]
    sport = "multisports" in LAYOUTS[layout][0]
    assert kept["head.projection.bias"].shape == (66 if sport else 80,)


def last(given: Mapping[str, Tensor]) -> str:
    start = "roi_head.bbox_head.fc_cls"
    return f"{start}.2.bias" if f"{start}.2.bias" in given else f"{start}.bias"


@pytest.mark.parametrize("layout", [key for key, names in LAYOUTS.items() if len(names) > 1])
def test_models_of_one_layout_are_of_one_shape(layout: str) -> None:
    theirs = two_stage.read(tensors(layout))
    assert theirs is not None
    assert theirs.code_base == "mmaction2"
    for name in LAYOUTS[layout]:
        assert fitting.misfit_of(theirs.tensors, name) == ""
