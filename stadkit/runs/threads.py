"""How many CPU threads the commands give torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stadkit.detection import Detector
    from stadkit.video.keys import Every

LIGHT = 10_000_000  # parameters; on a core such a model needs about as long as decoding
RARE = 0.5  # seconds between keyframes from which on that is so


def use_threads(threads: int) -> None:
    """So many threads for torch; 0: as they are."""
    if threads:
        import torch

        torch.set_num_threads(threads)


@contextmanager
def threads_beside_decoding(
    threads: int, detector: Detector, every: Every | None
) -> Iterator[None]:
    """So many threads for torch while in here; 0: all, but a light model leaves decoding a core.

    With as many threads as cores the model's threads wait for each other whenever decoding has a
    core: on two, both together take a fifth longer than with one thread. Where torch has fewer
    threads than there are cores, or the environment says how many, there is nothing to leave.
    """
    import torch

    before = torch.get_num_threads()
    said = any(os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))
    if not threads and not said and before >= cores() and _is_light(detector, every):
        threads = max(1, before - 1)
    use_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_light(detector: Detector, every: Every | None) -> bool:
    """Whether looking at a second of video takes about as long as decoding it."""
    seconds = detector.every if every is None else every
    rare = not isinstance(seconds, str) and seconds >= RARE
    size = sum(weight.numel() for weight in detector.model.parameters())
    return rare and detector.device.type == "cpu" and size < LIGHT


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
