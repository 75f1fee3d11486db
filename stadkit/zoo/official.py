"""EVAD's released checkpoints: their names <-> ours, and what their own config says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stadkit.errors import WeightsError
from stadkit.zoo.checkpoint import renamed

if TYPE_CHECKING:
    from torch import Tensor

# The start of a name: theirs, ours.
RENAMED = (
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
)
# Weights of person and background in the loss lie among theirs; no model has them.
CONSTANT, OF_CONSTANT = "criterion.empty_weight", (1.0, 0.1)

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


def is_official(tensors: Mapping[str, Any]) -> bool:
    """Whether these are named as the authors of EVAD name them."""
    return any(name.startswith("det_head.") for name in tensors)


def to_ours(tensors: Mapping[str, Tensor], what: str = "the file") -> dict[str, Tensor]:
    """The authors' names -> ours, one to one; names of neither stay, for others to complain of.

    Raises WeightsError where the constant among them is not the one of the paper's loss, and
    where two names are one of ours.
    """
    constant = tensors.get(CONSTANT)
    if constant is not None and not _is_constant(constant):
        raise WeightsError(
            f"{what}: {CONSTANT} is {constant.tolist()}, EVAD's is {list(OF_CONSTANT)}; "
            "this is another model"
        )
    theirs = {name: value for name, value in tensors.items() if name != CONSTANT}
    return renamed(theirs, our_name, what)


def to_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names -> the authors', with the constant that their loader asks for."""
    import torch

    back = [(ours, theirs) for theirs, ours in RENAMED]
    named = {_renamed(name, back): value for name, value in tensors.items()}
    return {**named, CONSTANT: torch.tensor(OF_CONSTANT)}


def our_name(name: str) -> str:
    """Our name of one of theirs; a name that they do not have stays as it is."""
    return _renamed(name, RENAMED)


def _renamed(name: str, table: Any) -> str:
    for before, after in table:
        if name.startswith(before):
            return f"{after}{name.removeprefix(before)}"
    return name


def _is_constant(value: Tensor) -> bool:
    return tuple(value.shape) == (2,) and value.allclose(value.new_tensor(OF_CONSTANT))


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
