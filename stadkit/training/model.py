"""Build the model to train: the zoo's card with the user's settings and labels, validated."""

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
from stadkit.models.mestad_config import MestadConfig
from stadkit.models.stmixer import StmixerConfig
from stadkit.models.stmixer_t import StmixerTConfig
from stadkit.training.config import complaints
from stadkit.zoo.catalogue import LITE_PIXELS

Config = TypeVar("Config")
CONFIGS = {  # by model family
    "mestad": MestadConfig,
    "evad": EvadConfig,
    "stmixer-k": StmixerConfig,
    "stmixer-t": StmixerTConfig,
}
# Settings by family that the cards set for released weights only, and their value in training.
TRAINING_SETTINGS: dict[str, dict[str, Any]] = {"evad": {"token_order": "position"}}
YOURS, NONE_RELEASED, NONE_STATED = "yours", "none released", "none stated"  # licences
# Integer settings; all others must be positive.
MAY_BE_ZERO = ("roi_sampling", "depth", "joints", "maps_at", "prune_at")


def checked(kind: type[Config], values: Mapping[str, Any], place: str) -> Config:
    """Build a config dataclass from YAML values; raises UsageError that names the wrong field."""
    known = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"{place}.{name}: unknown field; known: {', '.join(sorted(known))}")
        if wanted := _wanted(value, "int" in known[name] and name not in MAY_BE_ZERO):
            raise UsageError(f"{place}.{name}: is {value!r}, must be {wanted}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        raise UsageError(f"{place}.{complaints(error)}") from None


def _wanted(value: Any, positive: bool) -> str:
    """The range that a number violates; "" where it is valid. positive: 0 is not allowed either."""
    numbers = [x for x in (value if isinstance(value, list) else [value]) if _is_number(x)]
    if any(not number >= 0 for number in numbers):  # also rejects NaN
        return "0 or more"
    return "more than 0" if positive and 0 in numbers else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def chosen_card(
    name: str, settings: Mapping[str, Any], labels: Labels, short_side: int | None = None
) -> zoo.Card:
    """The card of a model to be trained, with these settings over the zoo's and these classes.

    short_side: input size of the trained model; None: the zoo's. Fields about the zoo's own weights
    are cleared. Raises UsageError for a wrong setting.
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
    """The zoo's card with these settings and the clips they need: frames, key, padding.

    Raises UsageError for a wrong setting.
    """
    card = zoo.card(name)
    card = replace(
        card, settings={**card.settings, **TRAINING_SETTINGS.get(card.family, {}), **settings}
    )
    if card.family not in CONFIGS:
        return card
    config: object = checked(CONFIGS[card.family], card.settings, "settings")
    return _clips_of(card, config) if isinstance(config, EvadConfig | StmixerConfig) else card


def _clips_of(card: zoo.Card, config: EvadConfig | StmixerConfig) -> zoo.Card:
    """The card with the config's number of frames, the key in the middle, padding to whole
    patches, and the normalisation that the first layers expect."""
    patch = config.patch if isinstance(config, EvadConfig) else 1
    multiple = math.ceil(card.multiple / patch) * patch
    card = replace(card, frames=config.frames, key=config.frames // 2, multiple=multiple)
    stem = config.stem if isinstance(config, EvadConfig) else config.backbone
    return replace(card, **LITE_PIXELS) if stem == "lite" else card  # type: ignore[arg-type]


def licence_from(licence: str) -> str:
    """The licence of weights trained from weights with this licence; "" for unknown."""
    if licence.startswith(YOURS):
        return licence
    if licence in ("", NONE_RELEASED):
        return YOURS
    if licence == NONE_STATED:
        return f"{YOURS}, from weights without a stated licence"
    return f"{YOURS}, from {licence} weights"


def build_chosen(card: zoo.Card) -> nn.Module:
    """Build the untrained module; raises UsageError for inconsistent settings."""
    try:
        return zoo.build_card(card)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"settings: no model can be built from them: {reason}") from None
