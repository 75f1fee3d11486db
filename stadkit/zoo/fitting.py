"""Find the models and backbones that canonical tensors fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from stadkit.zoo.backbones import BACKBONES, optional_missing
from stadkit.zoo.cards import CARDS, FAMILIES, Card, card
from stadkit.zoo.dialects import official, two_stage
from stadkit.zoo.dialects.registry import BACKBONE_DIALECTS
from stadkit.zoo.weights import misfit

if TYPE_CHECKING:
    from torch import Tensor, nn


def misfit_of(tensors: Mapping[str, Tensor], name: str) -> str:
    """Why canonical tensors do not fit the model or backbone `name`; empty where they fit.

    A backbone may lack the tensors of `optional_missing`.
    """
    import torch

    if name not in BACKBONES:
        known = card(name)
        return misfit(tensors, _empty(known.family, json.dumps(dict(known.settings))))
    with torch.device("meta"):
        model = BACKBONES[name].build()
    wanted = {f"backbone.{key}": value for key, value in model.state_dict().items()}
    optional = optional_missing(wanted.keys() - tensors.keys(), tensors)
    full = {**tensors, **{key: wanted[key] for key in optional}}
    return misfit({key.removeprefix("backbone."): value for key, value in full.items()}, model)


def backbones_like(tensors: Mapping[str, Tensor]) -> list[str]:
    """The backbones of the kind that the tensor names suggest."""
    return [
        name for name, known in BACKBONES.items() if BACKBONE_DIALECTS[known.kind].matches(tensors)
    ]


def fitting(tensors: Mapping[str, Tensor], config: str) -> list[str]:
    """The models that these tensors fit and that the config inside their file allows."""
    # Only two-stage models have nothing but a backbone and a head: the others need not be built.
    two_stage_names = all(name.startswith(("backbone.", "head.")) for name in tensors)
    return [
        name
        for name, known in CARDS.items()
        if (known.family == two_stage.FAMILY) == two_stage_names
        and not conflicts(config, known)
        and not misfit_of(tensors, name)
    ]


def conflicts(config: str, known: Card) -> list[str]:
    """Where a config inside a file contradicts a card; only EVAD's configs are understood."""
    return official.contradictions(config, known.settings) if known.family == "evad" else []


@lru_cache(maxsize=64)
def _empty(family: str, settings: str) -> nn.Module:
    """A model on the meta device (shapes without memory); settings as JSON.

    Cached, as many cards differ only in settings that change no shape.
    """
    import torch

    with torch.device("meta"):
        return FAMILIES[family](json.loads(settings))
