"""Numbers that all processes of a training share."""

from __future__ import annotations

from torch import Tensor
from torch import distributed as dist


def world_mean(x: Tensor) -> Tensor:
    """The mean of a number [...] over all processes of torchrun, itself where there is one.

    No gradient goes through it where there are several.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return x
    total = x.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
