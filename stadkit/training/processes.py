"""Which of torchrun's processes this is and where it computes; alone without torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch

from stadkit.detection import pick_device

# The others wait in a barrier while the first one validates; torch gives up after 10 minutes.
PATIENCE = timedelta(hours=4)


@dataclass(frozen=True)
class Processes:
    """One process of a training: its number among all of them, and its device."""

    device: torch.device
    rank: int = 0  # among all processes, 0 .. world - 1
    world: int = 1  # how many there are

    @property
    def first(self) -> bool:
        """Whether this one writes the files and talks."""
        return self.rank == 0


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the group that torchrun's environment names (nccl on CUDA, gloo elsewhere).

    Raises UsageError where the machine lacks the device.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(pick_device(device))
        return
    own = own_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if own.type == "cuda":
        torch.cuda.set_device(own)
    torch.distributed.init_process_group(backend(own), timeout=PATIENCE)
    try:
        rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        yield Processes(own, rank, world)
    finally:
        torch.distributed.destroy_process_group()


def own_device(asked: str, local_rank: int) -> torch.device:
    """The device of one of several processes on a machine: each has a GPU of its own.

    Raises UsageError where the machine has fewer of them.
    """
    picked = pick_device(asked)
    return pick_device(f"cuda:{local_rank}") if picked.type == "cuda" else picked


def backend(device: torch.device) -> str:
    """What processes on such devices talk through."""
    return "nccl" if device.type == "cuda" else "gloo"
