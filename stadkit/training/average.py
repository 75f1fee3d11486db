"""The exponential moving average of a model's weights: the one that is shipped."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """A frozen copy in eval mode that follows a model.

    buffers: "average", as weights; "copy", the model's; "keep", as they are.

    The decay grows to `decay` as 1 - 101 / (step + 101), as in the release of SE-STAD, so that
    early, bad weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float, buffers: str = "average") -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.buffers = decay, buffers
        self.steps = 0

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """One step towards the model's weights, and buffers."""
        self.steps += 1
        keep = min(self.decay, 1 - 101 / (self.steps + 101))
        own, new = self.model.state_dict(), model.state_dict()
        weights = {name for name, _ in self.model.named_parameters()}
        for name, value in own.items():
            how = "average" if name in weights else self.buffers
            if how == "average" and value.dtype.is_floating_point:
                value.lerp_(new[name].to(value.dtype), 1 - keep)
            elif how != "keep":
                value.copy_(new[name])
