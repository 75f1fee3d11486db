"""How many CPU threads the commands give torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stadkit.detect import Detector

Threads = Annotated[int, typer.Option(min=0, help="CPU threads of the model; 0: all.")]
LIGHT = 10_000_000  # parameters; on a core such a model needs about as long as decoding
RARE = 0.5  # seconds between keyframes from which on that is so


def use_threads(threads: int) -> None:
    """So many threads for torch; 0: as they are."""
    if threads:
        import torch

        torch.set_num_threads(threads)


def use_threads_beside_decoding(threads: int, detector: Detector, every: float | None) -> None:
    """As `use_threads`; but 0 leaves a core to decoding, where the model is light.

    With as many threads as cores the model's threads wait for each other whenever decoding has a
    core: on two, both together are a fifth slower than with one thread.
    """
    use_threads(threads)
    every = detector.every if every is None else every
    if threads or detector.device.type != "cpu" or every < RARE:
        return
    import torch

    light = sum(weight.numel() for weight in detector.model.parameters()) < LIGHT
    if light and torch.get_num_threads() >= cores():
        torch.set_num_threads(max(1, cores() - 1))


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
