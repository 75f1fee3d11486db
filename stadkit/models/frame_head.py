"""The action head of `mestad-nano`: one layer for each data set over what `FrameReader` sees.

Data sets differ in what they know: J-HMDB's people do one of 21 things, rendered people several at
once. Each has a layer of its own. Of a class that several taught, the layers' chances are averaged,
weighed by how much a box looks like each data set (a mixture of experts, Jacobs et al. 1991).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FINITE = 1e-6  # probabilities are at least this far from 0 and 1


class FrameHead(nn.Module):
    """Descriptions [n, numbers] -> logits [n, classes].

    sources: for each data set the numbers of its classes, from 0; exclusive: for each, whether a
    person does exactly one of them (softmax) or any (sigmoids). Raises ValueError where they do not
    fit together.
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
            raise ValueError(f"{len(self.sources)} sources, but {len(self.exclusive)} of exclusive")
        flat = [number for source in self.sources for number in source]
        if set(flat) != set(range(classes)):
            raise ValueError(f"sources: want the classes 0 to {classes - 1}, each at least once")
        self.classes = classes
        # Of the training set's descriptions; `projection` reads what is left.
        self.register_buffer("center", torch.zeros(numbers))
        self.register_buffer("scale", torch.ones(numbers))
        self.projection = nn.Linear(numbers, sum(map(len, self.sources)))
        many = len(self.sources) > 1
        self.gate = nn.Linear(numbers, len(self.sources)) if many else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)

    def forward(self, description: Tensor) -> Tensor:
        read = (description.float() - self.center) * self.scale
        said = self.said(read)
        if self.gate is None:
            return said[0].clamp(-14, 14)
        share = _layer(self.gate, read).softmax(1).clamp(min=FINITE)
        chance, weight = (read.new_zeros(len(read), self.classes) for _ in range(2))
        for number, (source, logits) in enumerate(zip(self.sources, said, strict=True)):
            at, own = torch.tensor(source, device=read.device), share[:, number : number + 1]
            chance = chance.index_add(1, at, own * logits.sigmoid())
            weight = weight.index_add(1, at, own.expand_as(logits))
        return (chance / weight).clamp(FINITE, 1 - FINITE).logit()

    def said(self, read: Tensor) -> list[Tensor]:
        """Each source's logits [n, its classes], those of exclusive classes against all others.

        read [n, numbers]: descriptions less `center`, times `scale`.
        """
        rows = _layer(self.projection, read)
        parts = torch.split(rows, [len(source) for source in self.sources], 1)
        return [
            against_others(part) if only else part
            for part, only in zip(parts, self.exclusive, strict=True)
        ]


def _layer(layer: nn.Linear, read: Tensor) -> Tensor:
    """A layer in float32: thousands of small numbers add up, and bfloat16 would round them."""
    # Of the meta device, where costs are counted, there is no autocast.
    with nullcontext() if read.is_meta else torch.autocast(read.device.type, enabled=False):
        return F.linear(read, layer.weight.float(), layer.bias.float())


def against_others(logits: Tensor) -> Tensor:
    """Logits [n, C] of a softmax -> of each class against all the others, so that a sigmoid gives
    what the softmax gives."""
    share = F.log_softmax(logits, 1)
    rest = torch.log(-torch.expm1(share.clamp(max=-FINITE)))
    return share - rest
