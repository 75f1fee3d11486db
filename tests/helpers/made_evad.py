"""A tiny EVAD: its card, weights and files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stadkit import zoo
from stadkit.zoo.dialects import official

SMALL = {
    "width": 16,
    "depth": 4,
    "heads": 2,
    "maps_at": [0, 1, 2, 3],
    "prune_at": [1, 2],
    "proposals": 3,
    "people_width": 16,
    "people_heads": 1,
    "people_attention": 2,
    "feedforward": 16,
    "dynamic": 4,
    "decoder_width": 16,
    "decoder_depth": 1,
    "decoder_heads": 2,
    "classifier": 8,
}


def small(name: str = "evad-vit-b", **settings: Any) -> zoo.Card:
    """The card of this name with a small model."""
    known = zoo.card(name)
    return replace(known, settings={**known.settings, **SMALL, **settings})


def weights(card: zoo.Card) -> dict[str, Tensor]:
    """Random weights by our names."""
    torch.manual_seed(0)
    return {k: torch.randn_like(v) for k, v in zoo.build_card(card).state_dict().items()}


def released(path: Path, card: zoo.Card, config: str = "", wrapper: str = "model_state") -> Path:
    """A file as released by EVAD's authors."""
    held = official.to_official(weights(card))
    torch.save({"epoch": 11, wrapper: held, "optimizer_state": {}, "cfg": config, "amp": {}}, path)
    return path
