"""A model's speed, relative to this machine's matrix product."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from stadkit.detection import Detector

MATRIX_SIZE = 2048


def measure_model(
    name: str,
    size: int | None,
    settings: dict[str, Any],
    batch: int,
    device: str,
    precision: str,
    compiled: bool,
    runs: int,
) -> dict[str, Any]:
    """Figures of `bench model`; with random weights, since speed does not depend on them."""
    import torch

    from stadkit.detection import Detector
    from stadkit.models.cost import cost
    from stadkit.zoo import build_card, card

    model_card = card(name)
    model_card = replace(model_card, settings={**model_card.settings, **settings})
    pixels = _round_up(size or model_card.short_side, model_card.multiple)
    model = build_card(model_card)
    model_cost = cost(model, pixels, model_card.frames)
    detector = Detector(model, model_card, device, precision, name)
    detector.lower()
    if compiled:
        detector.model.compile()
    run_once = _pass(detector, batch, pixels)
    best = min(seconds(run_once) for _ in range(runs + 2))  # the first ones choose kernels
    parts = {} if compiled else _parts(detector.model, run_once, runs)
    peak = matmul_peak(detector)
    figures = {
        "model": name,
        "device": str(detector.device),
        "precision": str(detector.precision).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "batch": batch,
        "pixels": pixels,
        "gmacs": round(model_cost["gmacs"], 3),
        "ms": float(f"{1000 * best:.4g}"),
        "clips_per_second": float(f"{batch / best:.4g}"),
        "matmul_gflops": round(peak / 1e9, 1),
        "share_of_matmul": round(2e9 * model_cost["gmacs"] * batch / best / peak, 3),
    }
    return {**figures, "parts_ms": {part: round(1000 * t, 2) for part, t in parts.items()}}


def matmul_peak(detector: Detector, size: int = MATRIX_SIZE) -> float:
    """FLOP/s of a square matrix product in the detector's precision, best of five."""
    import torch

    a = torch.randn(size, size, device=detector.device, dtype=detector.precision)

    def product() -> None:
        (a @ a)[0, 0].item()  # waits for the GPU

    product()
    return 2 * float(size) ** 3 / min(seconds(product) for _ in range(5))


def _pass(detector: Detector, batch: int, size: int) -> Callable[[], None]:
    """A forward pass on a random batch in device memory, as `detect` runs it."""
    import torch

    shape = (batch, 3, detector.card.frames, size, size)
    pixels = torch.rand(shape, device=detector.device, generator=None)
    pixels = pixels.contiguous(memory_format=torch.channels_last_3d)
    sizes = torch.tensor([[size, size]] * batch, device=detector.device)

    def once() -> None:
        detector.forward(pixels, sizes).person.sum().item()  # waits for the GPU

    return once


def _parts(model: nn.Module, once: Callable[[], None], runs: int) -> dict[str, float]:
    """Best time of each child module over `runs`, and "rest": the time between them.

    The rest comes from these timed passes, not from the faster passes without timers.
    """
    with _timed_parts(model) as times_by_part:
        whole = min(seconds(once) for _ in range(runs))
    best = {part: min(times) for part, times in times_by_part.items()}
    return {**best, "rest": max(0.0, whole - sum(best.values()))}


@contextmanager
def _timed_parts(model: nn.Module) -> Iterator[dict[str, list[float]]]:
    """Time of each call of each child module, by name.

    A child that is called more than once per pass is counted as its shortest call.
    """
    import torch

    times_by_part: dict[str, list[float]] = {}
    started: dict[str, float] = {}

    def clock() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    def add_hooks(name: str, child: nn.Module) -> list[Any]:
        def before(*_: Any) -> None:
            started[name] = clock()

        def after(*_: Any) -> None:
            times_by_part.setdefault(name, []).append(clock() - started[name])

        return [child.register_forward_pre_hook(before), child.register_forward_hook(after)]

    hooks = [hook for name, child in model.named_children() for hook in add_hooks(name, child)]
    try:
        yield times_by_part
    finally:
        for hook in hooks:
            hook.remove()


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
