"""Which models and backbones canonical tensors fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from stadkit.zoo.backbones import BACKBONES, may_lack
from stadkit.zoo.cards import CARDS, FAMILIES, Card, card
from stadkit.zoo.dialects import official, slowfast, two_stage, videomae
from stadkit.zoo.weights import misfit

if TYPE_CHECKING:
    from torch import Tensor, nn


def misfit_of(tensors: Mapping[str, Tensor], name: str) -> str:
    """What keeps canonical tensors out of the model or backbone `name`; empty where they fit.

    A backbone may lack what `may_lack` says.
    """
    import torch

    if name not in BACKBONES:
        known = card(name)
        return misfit(tensors, _empty(known.family, json.dumps(dict(known.settings))))
    with torch.device("meta"):
        model = BACKBONES[name].build()
    wanted = {f"backbone.{key}": value for key, value in model.state_dict().items()}
    spared = may_lack(wanted.keys() - tensors.keys(), tensors)
    whole = {**tensors, **{key: wanted[key] for key in spared}}
    return misfit({key.removeprefix("backbone."): value for key, value in whole.items()}, model)


def backbones_like(tensors: Mapping[str, Tensor]) -> list[str]:
    """The backbones of the kind that these tensors are named as."""
    kinds = {"vit": videomae.is_videomae, "slowfast": slowfast.is_slowfast}
    return [name for name, known in BACKBONES.items() if kinds[known.kind](tensors)]


def fitting(tensors: Mapping[str, Tensor], config: str) -> list[str]:
    """The models that these tensors fit, and that the config inside their file does not deny."""
    # No other family has a backbone and a head alone; those that cannot fit are not built.
    alone = all(name.startswith(("backbone.", "head.")) for name in tensors)
    return [
        name
        for name, known in CARDS.items()
        if (known.family == two_stage.FAMILY) == alone
        and not denials(config, known)
        and not misfit_of(tensors, name)
    ]


def denials(config: str, known: Card) -> list[str]:
    """What a config inside a file says otherwise than a card: of EVAD alone it is known how."""
    return official.contradictions(config, known.settings) if known.family == "evad" else []


@lru_cache(maxsize=64)
def _empty(family: str, settings: str) -> nn.Module:
    """A model on the meta device, where it has shapes but no memory; settings as JSON.

    Kept, as many cards differ in what has no shape.
    """
    import torch

    with torch.device("meta"):
        return FAMILIES[family](json.loads(settings))
