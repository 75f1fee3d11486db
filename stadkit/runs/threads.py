"""The number of CPU threads that torch uses in the commands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stadkit.detection import Detector
    from stadkit.video.keys import Every

# With fewer parameters and sparser keyframes a model takes about as long on a core as decoding.
LIGHT_PARAMETERS = 6_000_000
LIGHT_EVERY = 0.5  # seconds


def use_threads(threads: int) -> None:
    """Set torch's number of threads; 0 leaves it as it is."""
    if threads:
        import torch

        torch.set_num_threads(threads)


@contextmanager
def threads_beside_decoding(
    threads: int, detector: Detector, every: Every | None
) -> Iterator[None]:
    """Set torch's threads within the block; 0: all, except that a light model leaves decoding one.

    With as many threads as cores, the model's threads wait for each other whenever decoding
    occupies a core: on two cores both together take a fifth longer than with one thread. If torch
    has fewer threads than cores, or the environment sets their number, it is not changed.
    """
    import torch

    before = torch.get_num_threads()
    configured = any(os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))
    if not threads and not configured and before >= cores() and _is_light(detector, every):
        threads = max(1, before - 1)
    use_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_light(detector: Detector, every: Every | None) -> bool:
    """Whether the model takes about as long for a second of video as decoding."""
    seconds = detector.every if every is None else every
    rare = not isinstance(seconds, str) and seconds >= LIGHT_EVERY
    size = sum(weight.numel() for weight in detector.model.parameters())
    return rare and detector.device.type == "cpu" and size < LIGHT_PARAMETERS


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
