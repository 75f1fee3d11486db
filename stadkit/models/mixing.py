"""STMixer's adaptive mixing (Wu et al. 2024, Fig. 3): layers that a query makes for itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEW = 100  # queries at a time: what lies between two layers of more no longer fits a CPU's caches


class AdaptiveMixing(nn.Module):
    """Mixes channels, then points, of what a query sampled, and adds the result to the query.

    Points become `out` new ones. Points may be times: the temporal branch has the same layers.
    """

    def __init__(self, width: int, groups: int, points: int, out: int) -> None:
        super().__init__()
        self.groups, self.points, self.out = groups, points, out
        self.channels = width // groups  # of a group
        made = groups * (self.channels**2 + points * out)
        # In a Sequential for the sake of its name in released weights.
        self.parameter_generator = nn.Sequential(nn.Linear(width, made))
        self.out_proj = nn.Linear(groups * out * self.channels, width)

    def forward(self, sampled: Tensor, query: Tensor) -> Tensor:
        """sampled [n, G, P, D / G], query [n, D] -> [n, D]."""
        if sampled.device.type != "cpu" or torch.is_grad_enabled():
            # Learning keeps all that lies between anyway, and adds gradients up a part at a time.
            return self._mixed(sampled, query)
        parts = zip(torch.split(sampled, FEW), torch.split(query, FEW), strict=True)
        return torch.cat([self._mixed(*part) for part in parts])

    def _mixed(self, sampled: Tensor, query: Tensor) -> Tensor:
        made = self.parameter_generator(query).view(len(query), self.groups, -1)
        first, second = made.split([self.channels**2, self.points * self.out], 2)
        x = sampled.to(made.dtype).flatten(0, 1)  # [n G, P, D/G]
        x = _settle(x @ first.reshape(-1, self.channels, self.channels))
        x = _settle(second.reshape(-1, self.out, self.points) @ x)  # [n G, out, D/G]
        return query + self.out_proj(x.view(len(query), -1))  # type: ignore[no-any-return]


def _settle(x: Tensor) -> Tensor:
    """A norm over both of the last dimensions, without weights, and a ReLU."""
    return F.relu(F.layer_norm(x, x.shape[-2:]), inplace=not torch.is_grad_enabled())
