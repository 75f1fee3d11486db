"""The model of a training: the zoo's card with the user's settings and labels, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from torch import nn

from stadkit import zoo
from stadkit.errors import UsageError
from stadkit.labels import Labels
from stadkit.models.evad import EvadConfig
from stadkit.models.mestad import MestadConfig
from stadkit.models.stmixer import StmixerConfig
from stadkit.models.stmixer_t import StmixerTConfig
from stadkit.training.config import complaints
from stadkit.zoo.catalogue import LITE_PIXELS

Config = TypeVar("Config")
CONFIGS = {  # of each family of models
    "mestad": MestadConfig,
    "evad": EvadConfig,
    "stmixer-k": StmixerConfig,
    "stmixer-t": StmixerTConfig,
}
# What released weights want and weights that are trained here do not, for each family.
ANEW: dict[str, dict[str, Any]] = {"evad": {"token_order": "position"}}
YOURS, NONE_RELEASED, NONE_STATED = "yours", "none released", "none stated"  # licences
# Of the whole numbers.
MAY_BE_ZERO = ("roi_sampling", "depth", "joints", "maps_at", "prune_at")


def checked(kind: type[Config], values: Mapping[str, Any], place: str) -> Config:
    """A config dataclass from YAML values; raises UsageError, one line that names the field."""
    known = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"{place}.{name}: no such field; known are {', '.join(sorted(known))}")
        if reason := _unfit(value, "int" in known[name] and name not in MAY_BE_ZERO):
            raise UsageError(f"{place}.{name}: is {value!r}, wants {reason}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        raise UsageError(f"{place}.{complaints(error)}") from None


def _unfit(value: Any, counts: bool) -> str:
    """What a number should be and is not: none is negative, and what counts is not 0."""
    numbers = [x for x in (value if isinstance(value, list) else [value]) if _is_number(x)]
    if any(not number >= 0 for number in numbers):  # not a number is neither
        return "0 or more"
    return "more than 0" if counts and 0 in numbers else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def chosen_card(
    name: str, settings: Mapping[str, Any], labels: Labels, short_side: int | None = None
) -> zoo.Card:
    """The card of a model to be trained: these settings over the zoo's, these classes.

    short_side: of what it will look at; None: the zoo's. What the zoo says of its own weights is
    left out. Raises UsageError for a wrong setting.
    """
    card = sized_card(name, settings)
    return replace(
        card,
        short_side=short_side or card.short_side,
        settings={**card.settings, "classes": len(labels.names)},
        classes=labels,
        url="",
        drive_id="",
        file="",
        sha256="",
        size=0,
        licence=YOURS,
        reported={},
        taught={},
        class_ap={},
        source="",
        note="Trained with `stadkit train`.",
    )


def sized_card(name: str, settings: Mapping[str, Any]) -> zoo.Card:
    """The zoo's card with these settings, and clips as these want them: frames, key, padding.

    Raises UsageError for a wrong setting.
    """
    card = zoo.card(name)
    card = replace(card, settings={**card.settings, **ANEW.get(card.family, {}), **settings})
    if card.family not in CONFIGS:
        return card
    config: object = checked(CONFIGS[card.family], card.settings, "settings")
    return _clips_of(card, config) if isinstance(config, EvadConfig | StmixerConfig) else card


def _clips_of(card: zoo.Card, config: EvadConfig | StmixerConfig) -> zoo.Card:
    """The card with the config's clips: so many frames, the key in their middle, whole patches,
    pixels as what reads them first wants them."""
    patch = config.patch if isinstance(config, EvadConfig) else 1
    multiple = math.ceil(card.multiple / patch) * patch
    card = replace(card, frames=config.frames, key=config.frames // 2, multiple=multiple)
    reader = config.stem if isinstance(config, EvadConfig) else config.backbone
    return replace(card, **LITE_PIXELS) if reader == "lite" else card  # type: ignore[arg-type]


def licence_from(licence: str) -> str:
    """The licence of weights that were trained from weights of this licence; "" for unknown."""
    if licence.startswith(YOURS):
        return licence
    if licence in ("", NONE_RELEASED):
        return YOURS
    if licence == NONE_STATED:
        return f"{YOURS}, from weights without a stated licence"
    return f"{YOURS}, from {licence} weights"


def build_chosen(card: zoo.Card) -> nn.Module:
    """The untrained module; raises UsageError where the settings do not go together."""
    try:
        return zoo.build_card(card)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"settings: these make no model: {reason}") from None
