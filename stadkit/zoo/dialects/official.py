"""Checkpoints as the authors of a family of models release them: their names <-> ours, and what an
EVAD's own config says of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stadkit.errors import WeightsError
from stadkit.zoo.checkpoint import renamed

if TYPE_CHECKING:
    from torch import Tensor

# The weights of person and background in the loss of both.
CONSTANT = (1.0, 0.1)
# How a config may spell what no tensor shows: a file of another keep rate has the same names.
VALUE = r"[ \t]*:[ \t]*(\[[^\]]*\]|\([^)]*\)|[^\n]*(?:\n[ \t]*-[^\n]*)*)"
SPELLED = {
    "keep_rate": re.compile(r"^[ \t]*\w*keep\w*rat(?:e|io)\w*" + VALUE, re.M | re.I),
    "keyframe_weight": re.compile(
        r"^[ \t]*\w*(?:enhanced?|key_?frame)_?weight\w*" + VALUE, re.M | re.I
    ),
}
NUMBER = re.compile(
    r"(?<![\w.])\d+(?:\.\d*)?(?:e[+-]?\d+)?(?![\w.])|(?<![\w.])\.\d+(?![\w.])", re.I
)
UNSAID = {"keep_rate": 0.7, "keyframe_weight": 1.0}  # EvadConfig's, where a card says nothing
WORDS = {"keep_rate": "keep rate", "keyframe_weight": "key-frame weight"}


@dataclass(frozen=True)
class Release:
    """How the authors of a family name what we name otherwise, or do not keep."""

    authors: str  # of what, for what is said
    mark: str  # start of names that they alone have
    constant: str  # lies among their tensors; a setting of the loss, no model of ours has it
    renamed: tuple[tuple[str, str], ...] = ()  # starts of names: theirs, ours


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
    # All else is named as the model here names it.
    "stmixer-k": Release(
        authors="STMixer",
        mark="stm_head.criterion.",
        constant="stm_head.criterion.empty_weight",
    ),
}


def family(tensors: Iterable[str]) -> str:
    """The family whose authors name tensors so; "" where it is nobody's, or the names are ours."""
    names = tuple(tensors)
    marked = (
        whose
        for whose, known in RELEASES.items()
        if any(name.startswith(known.mark) for name in names)
    )
    return next(marked, "")


def to_ours(tensors: Mapping[str, Tensor], what: str = "the file") -> dict[str, Tensor]:
    """The authors' names -> ours, one to one; names of neither stay, for others to complain of.

    Raises WeightsError where the constant among them is not the one of the paper's loss, and
    where two names are one of ours.
    """
    whose = family(tensors)
    if not whose:
        return dict(tensors)
    known = RELEASES[whose]
    constant = tensors.get(known.constant)
    if constant is not None and not _is_constant(constant):
        raise WeightsError(
            f"{what}: {known.constant} is {constant.tolist()}, {known.authors}'s is "
            f"{list(CONSTANT)}; this is another model"
        )
    theirs = {name: value for name, value in tensors.items() if name != known.constant}
    return renamed(theirs, lambda name: our_name(name, whose), what)


def to_official(tensors: Mapping[str, Tensor], family: str = "evad") -> dict[str, Tensor]:
    """Our names -> the authors', with the constant that their loader asks for."""
    import torch

    known = RELEASES[family]
    back = [(ours, theirs) for theirs, ours in known.renamed]
    named = {_renamed(name, back): value for name, value in tensors.items()}
    return {**named, known.constant: torch.tensor(CONSTANT)}


def our_name(name: str, family: str = "evad") -> str:
    """Our name of one of theirs; a name that they do not have stays as it is."""
    return _renamed(name, RELEASES[family].renamed)


def _renamed(name: str, table: Iterable[tuple[str, str]]) -> str:
    for before, after in table:
        if name.startswith(before):
            return f"{after}{name.removeprefix(before)}"
    return name


def _is_constant(value: Tensor) -> bool:
    return tuple(value.shape) == (2,) and value.allclose(value.new_tensor(CONSTANT))


def claims(config: str) -> dict[str, float]:
    """What a config's text says of SPELLED; nothing of what it does not name, or not clearly.

    A rate may be given for each block, 1 where a block drops nothing. The text is searched, not
    parsed: its YAML comes from strangers.
    """
    told = {}
    for name, pattern in SPELLED.items():
        given = {float(x) for found in pattern.finditer(config) for x in NUMBER.findall(found[1])}
        if name == "keep_rate":
            given = {rate for rate in given if 0 < rate <= 1}
            given = (given - {1.0}) or given
        if len(given) == 1:
            told[name] = given.pop()
    return told


def stated(settings: Mapping[str, Any]) -> dict[str, float]:
    """What a card's settings say of SPELLED."""
    return {name: float(settings.get(name, unsaid)) for name, unsaid in UNSAID.items()}


def contradictions(config: str, settings: Mapping[str, Any]) -> list[str]:
    """What a config's text says otherwise than a card's settings: "keep rate 0.6, not 0.7"."""
    own = stated(settings)
    told = claims(config)
    if own["keep_rate"] == told.get("keep_rate", own["keep_rate"]) == 1:
        told.pop("keyframe_weight", None)  # nothing is dropped, nothing is weighed
    return [
        f"{WORDS[name]} {value:g}, not {own[name]:g}"
        for name, value in told.items()
        if value != own[name]
    ]
