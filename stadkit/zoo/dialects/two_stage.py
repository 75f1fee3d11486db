"""Rename two-stage detectors' checkpoints to our names, and identify their code base and model.

mmaction2, PySlowFast (torch and Caffe2) and PyTorchVideo are supported. Where models of two code
bases have the same shapes but compute differently, the tensor names identify the code base.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stadkit.zoo.checkpoint import renamed
from stadkit.zoo.dialects import mmaction2, slowfast, videomae
from stadkit.zoo.provenance import have_same_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from stadkit.zoo.cards import Card

# Theirs -> ours. PySlowFast's classifiers have a head with the same name and another shape.
PROJECTIONS = {
    "PySlowFast": "head.projection",
    "PyTorchVideo": "detection_head.proj",
}
FAMILY = "slowfast-roi"
VARIANCE = ".running_var"  # every norm has one
COUNTER = ".num_batches_tracked"  # training steps: unused here, and absent in Caffe2


class RenamedDetector(NamedTuple):
    """A two-stage detector's tensors."""

    tensors: dict[str, Tensor]  # by our names; unknown names are unchanged
    code_base: str  # "mmaction2", "PySlowFast", "PyTorchVideo"
    notes: list[str]  # for the user


def read(tensors: Mapping[str, Tensor], what: str = "the file") -> RenamedDetector | None:
    """Rename a two-stage detector's tensors; None where the names are ours or of no known dialect.

    Raises WeightsError where two names map to one of ours, and for a transformer of another
    architecture.
    """
    code_base = origin(tensors)
    if not code_base:
        return None
    if videomae.matches(tensors):
        body, rest = videomae.rename(tensors, what)
        # Positions are computed here; `rename` has checked that they are the same.
        rest = [name for name in rest if not name.endswith(videomae.POSITIONS)]
    else:
        body, rest = slowfast.rename(tensors, what)
    other = {name: tensors[name] for name in rest}
    head = renamed(other, lambda name: _ours(name, code_base), what)
    if code_base != slowfast.MMACTION2:
        return RenamedDetector(_with_counters({**body, **head}), code_base, [])
    head, notes = mmaction2.as_ours(head)
    return RenamedDetector({**body, **head}, code_base, notes)


def origin(tensors: Collection[str]) -> str:
    """The code base of a two-stage detector's tensor names; "" for ours and unknown ones."""
    if any(name.startswith(mmaction2.MARK) for name in tensors):
        transformer = videomae.matches(dict.fromkeys(tensors))
        known = transformer or slowfast.code_base(tensors) == slowfast.MMACTION2
        return slowfast.MMACTION2 if known else ""
    if any(name.startswith("backbone.") for name in tensors):
        return ""
    code_base = slowfast.code_base(tensors)
    projection = f"{PROJECTIONS.get(code_base, '')}.weight"
    return code_base if any(name.removeprefix("model.") == projection for name in tensors) else ""


def _ours(name: str, code_base: str) -> str:
    if code_base == slowfast.MMACTION2:
        return mmaction2.our_name(name)
    module, _, leaf = name.removeprefix("model.").rpartition(".")
    return f"head.projection.{leaf}" if module == PROJECTIONS[code_base] else name


def objection(name: str, cards: Mapping[str, Card], code_base: str, sha256: str, file: str) -> str:
    """Why a file whose tensors fit the model `name` is another model's; "" for no reason.

    sha256: of the file; file: its name. All models of one code base compute alike; their clip
    length and temporal pooling, which no tensor shows, are known for released files, by sha256 or
    else by file name.
    """
    released = _by_sha256(sha256, cards)
    if released and name not in released:
        return f"by its sha256 it is {' or '.join(released)}"
    same_file = _by_file_name(file, cards)
    if same_file and not released and name not in same_file:
        return f"by its file name it is {' or '.join(same_file)}"
    if code_base != cards[name].origin:
        return f"its tensor names are {code_base}'s, which computes differently from {name}"
    return ""


def likely_models(cards: Mapping[str, Card], code_base: str, sha256: str, file: str) -> list[str]:
    """The models that a file may be, by its sha256, else its file name, else its code base."""
    same_code_base = [name for name, card in cards.items() if card.origin == code_base]
    return _by_sha256(sha256, cards) or _by_file_name(file, cards) or same_code_base


def uncertainty(
    name: str, cards: Mapping[str, Card], sha256: str, alike: Sequence[str]
) -> list[str]:
    """At most one note, for a file whose sha256 does not prove that it is `name`.

    alike: the other models of its code base that its tensors fit.
    """
    prefix = cards[name].sha256_prefix
    if not prefix and alike:
        return [f"no sha256 is known: assuming {name}, but {have_same_tensors(alike)}"]
    if not prefix or sha256.startswith(prefix):
        return []
    return [
        f"its sha256 does not start with {prefix}, unlike the released file's: assuming {name}, "
        "as no tensor shows clip length or temporal pooling"
    ]


def _by_sha256(sha256: str, cards: Mapping[str, Card]) -> list[str]:
    return [
        name
        for name, card in cards.items()
        if card.sha256_prefix and sha256.startswith(card.sha256_prefix)
    ]


def _by_file_name(file: str, cards: Mapping[str, Card]) -> list[str]:
    return [name for name, card in cards.items() if card.file == file]


def _with_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add a step counter of 0 to each norm without one."""
    import torch

    norms = (name.removesuffix(VARIANCE) for name in tensors if name.endswith(VARIANCE))
    missing = (f"{norm}{COUNTER}" for norm in norms if f"{norm}{COUNTER}" not in tensors)
    return {**tensors, **{name: torch.tensor(0) for name in missing}}
