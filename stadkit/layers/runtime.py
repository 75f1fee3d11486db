"""How a module runs: for results or to be exported, alone or in one of several processes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as dist


def exporting() -> bool:
    """Whether a graph is being traced for export: its shapes cannot hang on numbers.

    torch before 2.7 cannot tell; there the export of what asks fails.
    """
    return hasattr(torch.compiler, "is_exporting") and torch.compiler.is_exporting()


def world_mean(x: Tensor) -> Tensor:
    """The mean of a number [...] over all processes of torchrun, itself where there is one.

    No gradient goes through it where there are several.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return x
    total = x.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
