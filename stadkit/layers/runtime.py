"""How a module runs: traced for export or not, in one process or several."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as dist


def exporting() -> bool:
    """Whether a graph is being traced for export: shapes must not depend on values.

    Always False for torch before 2.7; there, exporting code that checks this fails.
    """
    return hasattr(torch.compiler, "is_exporting") and torch.compiler.is_exporting()


def world_mean(x: Tensor) -> Tensor:
    """The mean of x [...] over all torchrun processes; x itself if there is only one.

    No gradient flows through it with several processes.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return x
    total = x.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
