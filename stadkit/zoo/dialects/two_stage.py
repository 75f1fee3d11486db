"""Checkpoints of two-stage detectors, by whoever's names -> ours, and whose they are.

Read are those of mmaction2, PySlowFast (torch and Caffe2) and PyTorchVideo. Where two code bases
share all names and shapes, and only differ in maths, it is by their names that they are told apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stadkit.zoo.checkpoint import renamed
from stadkit.zoo.dialects import mmaction2, slowfast, videomae
from stadkit.zoo.provenance import others

if TYPE_CHECKING:
    from torch import Tensor

    from stadkit.zoo.cards import Card

# Theirs -> ours. Of PySlowFast a classifier's head has the same name, and another shape.
PROJECTIONS = {
    "PySlowFast": "head.projection",
    "PyTorchVideo": "detection_head.proj",
}
FAMILY = "slowfast-roi"
VARIANCE = ".running_var"  # every norm has one
COUNTER = ".num_batches_tracked"  # steps of training: matter to no one, and Caffe2 has none


class TwoStage(NamedTuple):
    """A two-stage detector's tensors."""

    tensors: dict[str, Tensor]  # by our names; what is none of its stays as it was
    whose: str  # "mmaction2", "PySlowFast", "PyTorchVideo"
    told: list[str]


def read(tensors: Mapping[str, Tensor], what: str = "the file") -> TwoStage | None:
    """These tensors as of a two-stage detector; None where they are not named as one, or already
    as ours.

    Raises WeightsError where two names are one of ours, and for a transformer of another
    architecture.
    """
    whose = origin(tensors)
    if not whose:
        return None
    if videomae.is_videomae(tensors):
        body, rest = videomae.rename(tensors, what)
        # Computed here, and `rename` has seen that they are the same.
        rest = [name for name in rest if not name.endswith(videomae.POSITIONS)]
    else:
        body, rest = slowfast.rename(tensors, what)
    head = renamed({name: tensors[name] for name in rest}, lambda name: _ours(name, whose), what)
    if whose != slowfast.MMACTION2:
        return TwoStage(_with_counters({**body, **head}), whose, [])
    head, told = mmaction2.as_ours(head)
    return TwoStage({**body, **head}, whose, told)


def origin(tensors: Collection[str]) -> str:
    """Whose names of a two-stage detector these are; "" for nobody's, and for ours."""
    if any(name.startswith(mmaction2.MARK) for name in tensors):
        transformer = videomae.is_videomae(dict.fromkeys(tensors))
        known = transformer or slowfast.whose(tensors) == slowfast.MMACTION2
        return slowfast.MMACTION2 if known else ""
    if any(name.startswith("backbone.") for name in tensors):
        return ""
    whose = slowfast.whose(tensors)
    projection = f"{PROJECTIONS.get(whose, '')}.weight"
    return whose if any(name.removeprefix("model.") == projection for name in tensors) else ""


def _ours(name: str, whose: str) -> str:
    if whose == slowfast.MMACTION2:
        return mmaction2.our_name(name)
    module, _, leaf = name.removeprefix("model.").rpartition(".")
    return f"head.projection.{leaf}" if module == PROJECTIONS[whose] else name


def against(name: str, cards: Mapping[str, Card], whose: str, sha256: str, file: str) -> str:
    """What speaks against a file being the model `name`, where its tensors fit; "" for nothing.

    sha256: of the file; file: its name. Of one code base all maths are one; what differs between
    its models (clip, pooling over time) no tensor shows, but its released files are known by their
    sha256, or else by their names.
    """
    released = _released_as(sha256, cards)
    if released and name not in released:
        return f"by its sha256 it is {' or '.join(released)}"
    called = _called(file, cards)
    if called and not released and name not in called:
        return f"by its file's name it is {' or '.join(called)}"
    if whose != cards[name].origin:
        return f"its names are {whose}'s, and the maths of {name} are not"
    return ""


def likely(cards: Mapping[str, Card], whose: str, sha256: str, file: str) -> list[str]:
    """The models that a file may be of, by its sha256, its name, or else by whose names it has."""
    same = [name for name, card in cards.items() if card.origin == whose]
    return _released_as(sha256, cards) or _called(file, cards) or same


def unsure(name: str, cards: Mapping[str, Card], sha256: str, alike: Sequence[str]) -> list[str]:
    """What is to be told of a file that no sha256 says to be `name`; nothing or one line.

    alike: the other models of its code base that its tensors fit.
    """
    wanted = cards[name].sha256_prefix
    if not wanted and alike:
        return [f"no sha256 is known; taken to be {name}, as {others(alike)}"]
    if not wanted or sha256.startswith(wanted):
        return []
    return [
        f"its sha256 does not begin with {wanted}, as that of the released file: taken to be "
        f"{name}, since no tensor shows its clip or its pooling over time"
    ]


def _released_as(sha256: str, cards: Mapping[str, Card]) -> list[str]:
    return [
        name
        for name, card in cards.items()
        if card.sha256_prefix and sha256.startswith(card.sha256_prefix)
    ]


def _called(file: str, cards: Mapping[str, Card]) -> list[str]:
    return [name for name, card in cards.items() if card.file == file]


def _with_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same, and a counter of steps, 0, for each norm that has none."""
    import torch

    norms = (name.removesuffix(VARIANCE) for name in tensors if name.endswith(VARIANCE))
    lacking = (f"{norm}{COUNTER}" for norm in norms if f"{norm}{COUNTER}" not in tensors)
    return {**tensors, **{name: torch.tensor(0) for name in lacking}}
