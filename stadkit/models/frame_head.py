"""The action head of `mestad-nano`: one linear layer per data set on `FrameReader`'s descriptors.

Data sets differ in their labels: J-HMDB's people do one of 21 actions, rendered people several at
once. Each has its own layer. For a class in several data sets, the layers' probabilities are
averaged, weighted by a gate that estimates which data set a box resembles (a mixture of experts,
Jacobs et al. 1991).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FINITE = 1e-6  # probabilities are at least this far from 0 and 1


class FrameHead(nn.Module):
    """Descriptors [n, numbers] -> logits [n, classes].

    sources: the class indices, from 0, of each data set; exclusive: for each, whether a person does
    exactly one of them (softmax) or any (sigmoids). Raises ValueError if the two are inconsistent.
    """

    center: Tensor
    scale: Tensor

    def __init__(
        self,
        numbers: int,
        classes: int,
        sources: Sequence[Sequence[int]] = (),
        exclusive: Sequence[bool] = (),
    ) -> None:
        super().__init__()
        self.sources = [list(source) for source in sources] or [list(range(classes))]
        self.exclusive = list(exclusive) or [False] * len(self.sources)
        if len(self.exclusive) != len(self.sources):
            raise ValueError(
                f"sources and exclusive must have the same length, not {len(self.sources)} and "
                f"{len(self.exclusive)}"
            )
        flat = [number for source in self.sources for number in source]
        if set(flat) != set(range(classes)):
            raise ValueError(f"sources must list each class 0 to {classes - 1} at least once")
        self.classes = classes
        # Standardization by the training set's descriptors, before `projection`.
        self.register_buffer("center", torch.zeros(numbers))
        self.register_buffer("scale", torch.ones(numbers))
        self.projection = nn.Linear(numbers, sum(map(len, self.sources)))
        several = len(self.sources) > 1
        self.gate = nn.Linear(numbers, len(self.sources)) if several else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)

    def forward(self, description: Tensor) -> Tensor:
        x = (description.float() - self.center) * self.scale
        by_source = self.source_logits(x)
        if self.gate is None:
            return by_source[0].clamp(-14, 14)
        share = _layer(self.gate, x).softmax(1).clamp(min=FINITE)
        total, weight = (x.new_zeros(len(x), self.classes) for _ in range(2))
        for number, (source, logits) in enumerate(zip(self.sources, by_source, strict=True)):
            columns, gate = torch.tensor(source, device=x.device), share[:, number : number + 1]
            total = total.index_add(1, columns, gate * logits.sigmoid())
            weight = weight.index_add(1, columns, gate.expand_as(logits))
        return (total / weight).clamp(FINITE, 1 - FINITE).logit()

    def source_logits(self, x: Tensor) -> list[Tensor]:
        """Each source's logits [n, its classes]; exclusive classes as one-vs-rest logits.

        x [n, numbers]: standardized descriptors.
        """
        rows = _layer(self.projection, x)
        parts = torch.split(rows, [len(source) for source in self.sources], 1)
        return [
            one_vs_rest(part) if only else part
            for part, only in zip(parts, self.exclusive, strict=True)
        ]


def _layer(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply a linear layer in float32: bfloat16 would round sums of thousands of small terms."""
    # The meta device, where costs are counted, has no autocast.
    with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
        return F.linear(x, layer.weight.float(), layer.bias.float())


def one_vs_rest(logits: Tensor) -> Tensor:
    """Softmax logits [n, C] -> one-vs-rest logits, whose sigmoid equals the softmax."""
    log_p = F.log_softmax(logits, 1)
    log_rest = torch.log(-torch.expm1(log_p.clamp(max=-FINITE)))
    return log_p - log_rest
