"""This process's rank and device under torchrun; a single process without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch

from stadkit.detection import pick_device

# The others wait in a barrier while the first one validates; torch's default is 10 minutes.
BARRIER_TIMEOUT = timedelta(hours=4)


@dataclass(frozen=True)
class Processes:
    """One process of a training: its rank and device."""

    device: torch.device
    rank: int = 0  # among all processes, 0 .. world - 1
    world: int = 1  # number of processes

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the process group of torchrun's environment (nccl on CUDA, gloo elsewhere).

    Raises UsageError where the device does not exist.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(pick_device(device))
        return
    own = own_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if own.type == "cuda":
        torch.cuda.set_device(own)
    torch.distributed.init_process_group(backend(own), timeout=BARRIER_TIMEOUT)
    try:
        rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        yield Processes(own, rank, world)
    finally:
        torch.distributed.destroy_process_group()


def own_device(device: str, local_rank: int) -> torch.device:
    """The device of one of several processes on a machine; each has its own GPU.

    Raises UsageError where the machine has too few GPUs.
    """
    picked = pick_device(device)
    return pick_device(f"cuda:{local_rank}") if picked.type == "cuda" else picked


def backend(device: torch.device) -> str:
    """The communication backend of processes on such devices."""
    return "nccl" if device.type == "cuda" else "gloo"
