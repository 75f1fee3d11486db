"""`stadkit train`: trains a detector from a YAML config."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from stadkit.console import console


def train(
    config: Annotated[Path, typer.Argument(help="Training YAML; see examples/configs.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Output folder. Default: runs/train/CONFIG."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last epoch.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Restart training in a used folder.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads; 0: torch's default.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the last epoch's figures as JSON.")
    ] = False,
) -> None:
    """Train a detector on AVA-format truth or rendered clips."""
    import torch

    from stadkit.training import validation
    from stadkit.training.config import read_config
    from stadkit.training.loop import train as run

    settings = read_config(config)
    out = output or Path("runs/train") / config.stem
    # Under torchrun every process runs this command; only rank 0 checks the folder and prints.
    is_main = os.environ.get("RANK", "0") == "0"
    if is_main and not (resume or overwrite):
        _check_unused(out)
    out.mkdir(parents=True, exist_ok=True)
    if threads:
        torch.set_num_threads(threads)
    progress = Progress(settings.schedule.epochs)
    weights = run(settings, out, device, resume, progress)
    if not is_main:
        return
    if as_json:
        typer.echo(json.dumps(validation.last(out / validation.NAME)))
    console.print(f"Weights: {weights}")
    console.print(f"Next: stadkit detect VIDEO --model {weights}")


def _check_unused(out: Path) -> None:
    from stadkit.errors import UsageError
    from stadkit.training.loop import OUTPUTS

    used = [name for name in OUTPUTS if (out / name).exists()]
    if used:
        raise UsageError(
            f"{out}: contains a training run ({', '.join(used)}); use --resume to continue it or "
            "--overwrite to restart"
        )


class Progress:
    """Prints loss and time left on stderr: a live line on a terminal, else every 30 s."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._last_shown = time.monotonic()

    def __call__(self, kind: str, figures: dict[str, Any]) -> None:
        if kind == "step":
            self._step(figures)
            return
        lines = {"epoch": self._line, "init": _started, "finished": _finished}
        self._clear()
        console.print(lines[kind](figures))

    def _step(self, figures: dict[str, Any]) -> None:
        interval = 0.2 if sys.stderr.isatty() else 30.0
        if time.monotonic() - self._last_shown > interval:
            self._last_shown = time.monotonic()
            self._show(f"{self._line(figures)}  {self._left(figures)} left")

    def _show(self, line: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{line}\x1b[K")
            sys.stderr.flush()
        else:
            console.print(line)

    def _clear(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")

    def _line(self, figures: dict[str, Any]) -> str:
        skip = ("epoch", "step", "steps", "steps_a_second", "per_class")
        numbers = [f"{k} {v:.3g}" for k, v in figures.items() if k not in skip]
        position = (
            f"epoch {figures['epoch']}/{self._epochs} step {figures['step']}/{figures['steps']}"
        )
        return "  ".join([position, *numbers])

    def _left(self, figures: dict[str, Any]) -> str:
        steps = figures["steps"]
        remaining = (self._epochs - figures["epoch"]) * steps + steps - figures["step"]
        minutes = remaining / figures["steps_a_second"] / 60
        return (
            f"{minutes / 60:.0f} h {minutes % 60:.0f} min" if minutes > 90 else f"{minutes:.0f} min"
        )


def _started(figures: dict[str, Any]) -> str:
    initial, unused = figures["initial"], figures["unused"]
    loaded = f"not in it, so random: {_tensors(initial)}" if initial else "all tensors loaded"
    lines = [f"Initial weights: {figures['file']}; {loaded}"]
    if unused:
        lines.append(f"note: not used from this file: {_tensors(unused)}")
    return "\n".join([*lines, *(f"note: {note}" for note in figures["told"])])


def _tensors(names: list[str]) -> str:
    """The number of tensors and their first 5 names."""
    count = "1 tensor" if len(names) == 1 else f"{len(names)} tensors"
    return f"{count} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"


def _finished(figures: dict[str, Any]) -> str:
    return f"Nothing to do: all epochs ({figures['epoch']}) are finished."
