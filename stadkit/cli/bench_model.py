"""`stadkit bench model`: a model's speed, beside what this machine reaches in a matrix product."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from stadkit.cli.threads import Threads, use_threads
from stadkit.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from stadkit.detect import Detector

Runs = Annotated[int, typer.Option(min=1, help="Times each is measured; the best counts.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
PRODUCT = 2048  # side of the square matrices


def bench_model(
    name: Annotated[str, typer.Argument(help="A name of `stadkit models list`.")],
    size: Annotated[
        int | None, typer.Option(min=32, help="Square clips of so many pixels; else the card's.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE over the card's settings; repeatable."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Clips at once.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    compiled: Annotated[bool, typer.Option("--compile", help="Through torch.compile.")] = False,
    threads: Threads = 0,
    runs: Annotated[int, typer.Option(min=1, help="Passes; the best counts.")] = 10,
    as_json: AsJson = False,
) -> None:
    """A model on square clips: clips a second, share of the machine's peak, time by part."""
    use_threads(threads)
    figures = measure(
        name, size, _settings(settings or []), batch, device, precision, compiled, runs
    )
    show(figures, as_json)


def measure(
    name: str,
    size: int | None,
    settings: dict[str, Any],
    batch: int,
    device: str,
    precision: str,
    compiled: bool,
    runs: int,
) -> dict[str, Any]:
    """The figures of `bench model`, untrained weights: speed does not depend on them."""
    import torch

    from stadkit.detect import Detector
    from stadkit.models.cost import cost
    from stadkit.zoo import build_card, card

    known = card(name)
    known = replace(known, settings={**known.settings, **settings})
    pixels = _round_up(size or known.short_side, known.multiple)
    model = build_card(known)
    counted = cost(model, pixels, known.frames)
    detector = Detector(model, known, device, precision, name)
    detector.lower()
    if compiled:
        detector.model.compile()
    once = _pass(detector, batch, pixels)
    best = min(_seconds(once) for _ in range(runs + 2))  # the first choose kernels
    parts = {} if compiled else _parts(detector.model, once, runs)
    peak = matmul_peak(detector)
    figures = {
        "model": name,
        "device": str(detector.device),
        "precision": str(detector.precision).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "batch": batch,
        "pixels": pixels,
        "gmacs": round(counted["gmacs"], 3),
        "ms": float(f"{1000 * best:.4g}"),
        "clips_per_second": float(f"{batch / best:.4g}"),
        "matmul_gflops": round(peak / 1e9, 1),
        "share_of_matmul": round(2e9 * counted["gmacs"] * batch / best / peak, 3),
    }
    return {**figures, "parts_ms": {part: round(1000 * t, 2) for part, t in parts.items()}}


def matmul_peak(detector: Detector, size: int = PRODUCT) -> float:
    """FLOP/s of a square matrix product in the detector's precision, the best of five."""
    import torch

    a = torch.randn(size, size, device=detector.device, dtype=detector.precision)

    def product() -> None:
        (a @ a)[0, 0].item()  # waits for a GPU to finish

    product()
    return 2 * float(size) ** 3 / min(_seconds(product) for _ in range(5))


def _pass(detector: Detector, batch: int, size: int) -> Callable[[], None]:
    """The model on a made-up batch that lies ready, as `detect` runs it."""
    import torch

    shape = (batch, 3, detector.card.frames, size, size)
    pixels = torch.rand(shape, device=detector.device, generator=None)
    pixels = pixels.contiguous(memory_format=torch.channels_last_3d)
    sizes = torch.tensor([[size, size]] * batch, device=detector.device)

    def once() -> None:
        detector.forward(pixels, sizes).person.sum().item()  # waits for a GPU to finish

    return once


def _parts(model: nn.Module, once: Callable[[], None], runs: int) -> dict[str, float]:
    """Seconds of each child of a model, its best of `runs`, and "rest": of all between them.

    The rest is measured beside the parts, not from faster passes without clocks in them.
    """
    with _timed_parts(model) as took:
        whole = min(_seconds(once) for _ in range(runs))
    best = {part: min(times) for part, times in took.items()}
    return {**best, "rest": max(0.0, whole - sum(best.values()))}


@contextmanager
def _timed_parts(model: nn.Module) -> Iterator[dict[str, list[float]]]:
    """Seconds of each pass through each child of a model, by its name.

    A child that runs more than once a pass is counted as its shortest run.
    """
    import torch

    took: dict[str, list[float]] = {}
    started: dict[str, float] = {}

    def clock() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    def watch(name: str, child: nn.Module) -> list[Any]:
        def before(*_: Any) -> None:
            started[name] = clock()

        def after(*_: Any) -> None:
            took.setdefault(name, []).append(clock() - started[name])

        return [child.register_forward_pre_hook(before), child.register_forward_hook(after)]

    hooks = [hook for name, child in model.named_children() for hook in watch(name, child)]
    try:
        yield took
    finally:
        for hook in hooks:
            hook.remove()


def _settings(given: list[str]) -> dict[str, Any]:
    """`["keep_rate=0.6"]` -> {"keep_rate": 0.6}; values are YAML. Raises UsageError."""
    read = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign:
            raise UsageError(f"--set {one}: wants FIELD=VALUE, as in --set keep_rate=0.6")
        try:
            read[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"--set {one}: the value is no YAML") from None
    return read


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def show(figures: dict[str, Any], as_json: bool) -> None:
    """Figures a line each, or as JSON; of a part, a line each too."""
    if as_json:
        typer.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        rows = value if isinstance(value, dict) else {"": value}
        for part, figure in rows.items():
            typer.echo(f"{' '.join((name, part)).strip():<28} {figure}")


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
