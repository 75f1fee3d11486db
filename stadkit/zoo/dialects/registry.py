"""The dialects of backbone checkpoints: one table, asked by everything that reads weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from stadkit.zoo.dialects import slowfast, videomae

if TYPE_CHECKING:
    from torch import Tensor

    from stadkit.zoo.backbones import Renamed


class BackboneDialect(Protocol):
    """The names that checkpoints give to the tensors of one architecture."""

    def matches(self, tensors: Mapping[str, Tensor], /) -> bool:
        """Whether the names of these tensors are in this dialect."""

    def rename(self, tensors: Mapping[str, Tensor], what: str = "the file", /) -> Renamed:
        """Canonical names `backbone.*`; raises WeightsError for another architecture."""


# By the kind of `Backbone` that each is of. Ours are canonical in both.
BACKBONE_DIALECTS: dict[str, BackboneDialect] = {"vit": videomae, "slowfast": slowfast}
