"""Authors' checkpoints of EVAD and STMixer: their names <-> ours, and EVAD's stored config."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stadkit.errors import WeightsError
from stadkit.zoo.checkpoint import renamed

if TYPE_CHECKING:
    from torch import Tensor

# Loss weights of person and background, in both code bases.
CONSTANT = (1.0, 0.1)
# Spellings in a config of the settings that no tensor shows: a file with another keep rate has the
# same tensors.
VALUE = r"[ \t]*:[ \t]*(\[[^\]]*\]|\([^)]*\)|[^\n]*(?:\n[ \t]*-[^\n]*)*)"
CONFIG_PATTERNS = {
    "keep_rate": re.compile(r"^[ \t]*\w*keep\w*rat(?:e|io)\w*" + VALUE, re.M | re.I),
    "keyframe_weight": re.compile(
        r"^[ \t]*\w*(?:enhanced?|key_?frame)_?weight\w*" + VALUE, re.M | re.I
    ),
}
NUMBER = re.compile(
    r"(?<![\w.])\d+(?:\.\d*)?(?:e[+-]?\d+)?(?![\w.])|(?<![\w.])\.\d+(?![\w.])", re.I
)
DEFAULTS = {"keep_rate": 0.7, "keyframe_weight": 1.0}  # EvadConfig's
LABELS = {"keep_rate": "keep rate", "keyframe_weight": "key-frame weight"}


@dataclass(frozen=True)
class Release:
    """A family's tensor names in its authors' checkpoints, where they differ from ours."""

    authors: str  # name of the code base, for messages
    mark: str  # prefix that only the authors' names have
    constant: str  # a loss setting stored among the tensors; our models do not have it
    renamed: tuple[tuple[str, str], ...] = ()  # prefixes: theirs, ours


RELEASES = {
    "evad": Release(
        authors="EVAD",
        mark="det_head.",
        constant="criterion.empty_weight",
        renamed=(
            ("patch_embed.", "backbone.patch_embed."),
            ("blocks.", "backbone.blocks."),
            ("norm.", "backbone.norm."),
            *((f"fpn_lateral{n}.", f"pyramid.lateral.{n - 2}.") for n in range(2, 6)),
            *((f"fpn_output{n}.", f"pyramid.output.{n - 2}.") for n in range(2, 6)),
            ("init_proposal_boxes.weight", "people.box"),
            ("init_proposal_features.weight", "people.feature"),
            ("det_head.s0_headseries.", "people.heads."),
            ("det_head.encoder_to_decoder.", "encoder_to_decoder."),
            ("det_head.mask_token", "mask_token"),
            ("det_head.decoder.", "decoder."),
        ),
    ),
    # All other names are the same here.
    "stmixer-k": Release(
        authors="STMixer",
        mark="stm_head.criterion.",
        constant="stm_head.criterion.empty_weight",
    ),
}


def family(tensors: Iterable[str]) -> str:
    """The family whose authors use these tensor names; "" for ours and unknown ones."""
    names = tuple(tensors)
    marked = (
        family
        for family, known in RELEASES.items()
        if any(name.startswith(known.mark) for name in names)
    )
    return next(marked, "")


def to_ours(tensors: Mapping[str, Tensor], what: str = "the file") -> dict[str, Tensor]:
    """Rename the authors' tensors to ours, one to one; unknown names stay, for later checks.

    Raises WeightsError where the stored loss constant is not the paper's, and where two names map
    to one of ours.
    """
    known_family = family(tensors)
    if not known_family:
        return dict(tensors)
    known = RELEASES[known_family]
    constant = tensors.get(known.constant)
    if constant is not None and not _is_constant(constant):
        raise WeightsError(
            f"{what}: {known.constant} is {constant.tolist()}, {known.authors}'s is "
            f"{list(CONSTANT)}; this file is of another model"
        )
    theirs = {name: value for name, value in tensors.items() if name != known.constant}
    return renamed(theirs, lambda name: our_name(name, known_family), what)


def to_official(tensors: Mapping[str, Tensor], family: str = "evad") -> dict[str, Tensor]:
    """Rename our tensors to the authors', and add the constant that their loader expects."""
    import torch

    known = RELEASES[family]
    back = [(ours, theirs) for theirs, ours in known.renamed]
    named = {_renamed(name, back): value for name, value in tensors.items()}
    return {**named, known.constant: torch.tensor(CONSTANT)}


def our_name(name: str, family: str = "evad") -> str:
    """Our name for one of the authors'; any other name is returned unchanged."""
    return _renamed(name, RELEASES[family].renamed)


def _renamed(name: str, table: Iterable[tuple[str, str]]) -> str:
    for before, after in table:
        if name.startswith(before):
            return f"{after}{name.removeprefix(before)}"
    return name


def _is_constant(value: Tensor) -> bool:
    return tuple(value.shape) == (2,) and value.allclose(value.new_tensor(CONSTANT))


def read_config(config: str) -> dict[str, float]:
    """Find the CONFIG_PATTERNS settings in a config's text, without ambiguous and missing ones.

    A rate may be listed per block, 1 where a block drops nothing. The text is searched rather than
    parsed, because its YAML is untrusted.
    """
    stated = {}
    for name, pattern in CONFIG_PATTERNS.items():
        values = {float(x) for found in pattern.finditer(config) for x in NUMBER.findall(found[1])}
        if name == "keep_rate":
            values = {rate for rate in values if 0 < rate <= 1}
            values = (values - {1.0}) or values
        if len(values) == 1:
            stated[name] = values.pop()
    return stated


def card_values(settings: Mapping[str, Any]) -> dict[str, float]:
    """The same settings of a card."""
    return {name: float(settings.get(name, default)) for name, default in DEFAULTS.items()}


def contradictions(config: str, settings: Mapping[str, Any]) -> list[str]:
    """Where a config's text differs from a card's settings: "keep rate 0.6, not 0.7"."""
    expected = card_values(settings)
    stated = read_config(config)
    if expected["keep_rate"] == stated.get("keep_rate", expected["keep_rate"]) == 1:
        stated.pop("keyframe_weight", None)  # unused when no token is dropped
    return [
        f"{LABELS[name]} {value:g}, not {expected[name]:g}"
        for name, value in stated.items()
        if value != expected[name]
    ]
