"""`stadkit train`: a config in, weights out."""

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
    config: Annotated[Path, typer.Argument(help="A training YAML; see examples/configs.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default runs/train/<config>.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last epoch.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew in a used folder.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves the choice to torch.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="The last epoch's figures on stdout.")
    ] = False,
) -> None:
    """Train a detector on AVA-format truth, or on rendered clips."""
    import torch

    from stadkit.training import validation
    from stadkit.training.config import read_config
    from stadkit.training.loop import train as run

    settings = read_config(config)
    out = output or Path("runs/train") / config.stem
    # Under torchrun each process runs this command; the first one alone looks and talks.
    first = os.environ.get("RANK", "0") == "0"
    if first and not (resume or overwrite):
        _check_unused(out)
    out.mkdir(parents=True, exist_ok=True)
    if threads:
        torch.set_num_threads(threads)
    progress = Progress(settings.schedule.epochs)
    weights = run(settings, out, device, resume, progress)
    if not first:
        return
    if as_json:
        typer.echo(json.dumps(validation.last(out / validation.NAME)))
    console.print(f"Weights: {weights}")
    console.print(f"Use them: stadkit detect VIDEO --model {weights}")


def _check_unused(out: Path) -> None:
    from stadkit.errors import UsageError
    from stadkit.training.loop import OUTPUTS

    used = [name for name in OUTPUTS if (out / name).exists()]
    if used:
        raise UsageError(
            f"{out}: holds a training ({', '.join(used)}); --resume goes on, --overwrite starts "
            "anew"
        )


class Progress:
    """Loss and time left on stderr: a moving line on a terminal, now and then elsewhere."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._said = time.monotonic()

    def __call__(self, kind: str, figures: dict[str, Any]) -> None:
        if kind == "step":
            self._step(figures)
            return
        lines = {"epoch": self._line, "init": _started, "finished": _finished}
        self._clear()
        console.print(lines[kind](figures))

    def _step(self, figures: dict[str, Any]) -> None:
        patience = 0.2 if sys.stderr.isatty() else 30.0
        if time.monotonic() - self._said > patience:
            self._said = time.monotonic()
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
        place = f"epoch {figures['epoch']}/{self._epochs} step {figures['step']}/{figures['steps']}"
        return "  ".join([place, *numbers])

    def _left(self, figures: dict[str, Any]) -> str:
        steps = figures["steps"]
        ahead = (self._epochs - figures["epoch"]) * steps + steps - figures["step"]
        minutes = ahead / figures["steps_a_second"] / 60
        return (
            f"{minutes / 60:.0f} h {minutes % 60:.0f} min" if minutes > 90 else f"{minutes:.0f} min"
        )


def _started(figures: dict[str, Any]) -> str:
    names, unused = figures["initial"], figures["unused"]
    lines = [f"Starts from {figures['file']}; {len(names)} tensors stay random{_some(names)}"]
    if unused:
        lines.append(f"note: {len(unused)} tensors of the file are not used{_some(unused)}")
    return "\n".join([*lines, *(f"note: {told}" for told in figures["told"])])


def _some(names: list[str]) -> str:
    return f": {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}" if names else ""


def _finished(figures: dict[str, Any]) -> str:
    return f"Nothing to do: all {figures['epoch']} epochs are finished."
