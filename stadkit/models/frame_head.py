"""The action head of `mestad-nano`: one layer for each data set over what `FrameReader` sees.

Data sets differ in what they know: J-HMDB's people do one of 21 things, rendered people several at
once. Each has a layer of its own, and a class that several taught has the mean of what they say.
"""

from __future__ import annotations

from collections.abc import Sequence

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
        self.teachers = [flat.count(number) for number in range(classes)]
        # Of the training set's descriptions; `projection` reads what is left.
        self.register_buffer("center", torch.zeros(numbers))
        self.register_buffer("scale", torch.ones(numbers))
        self.projection = nn.Linear(numbers, sum(map(len, self.sources)))

    def forward(self, description: Tensor) -> Tensor:
        said = self.said(description)
        if len(said) == 1:
            return said[0].clamp(-14, 14)
        chance = description.new_zeros(len(description), len(self.teachers))
        for source, logits in zip(self.sources, said, strict=True):
            at = torch.tensor(source, device=chance.device)
            chance = chance.index_add(1, at, logits.sigmoid().to(chance.dtype))
        return (chance / chance.new_tensor(self.teachers)).clamp(FINITE, 1 - FINITE).logit()

    def said(self, description: Tensor) -> list[Tensor]:
        """Each source's logits [n, its classes], those of exclusive classes against all others."""
        weight, bias = self.projection.weight.float(), self.projection.bias.float()
        # Thousands of small numbers add up to a logit: in bfloat16 they would be rounded.
        with torch.autocast(description.device.type, enabled=False):
            rows = F.linear((description.float() - self.center) * self.scale, weight, bias)
        parts = torch.split(rows, [len(source) for source in self.sources], 1)
        return [
            against_others(part) if only else part
            for part, only in zip(parts, self.exclusive, strict=True)
        ]


def against_others(logits: Tensor) -> Tensor:
    """Logits [n, C] of a softmax -> of each class against all the others, so that a sigmoid gives
    what the softmax gives."""
    share = F.log_softmax(logits, 1)
    rest = torch.log(-torch.expm1(share.clamp(max=-FINITE)))
    return share - rest
