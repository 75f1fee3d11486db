"""The state of a running training, and one step of it: forward, backward, optimizer.

A step uses labelled clips, and unlabelled ones in the semi-supervised stage. Pixels are normalised
on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from stadkit import zoo
from stadkit.errors import StadkitError
from stadkit.layers.matching import Diverged
from stadkit.training.batches import Batch, EpochSampler
from stadkit.training.checkpoint import Average
from stadkit.training.config import TrainConfig
from stadkit.training.criteria import Criterion
from stadkit.training.optim import learning_rate, set_rate
from stadkit.training.processes import Processes
from stadkit.training.semi import Semi
from stadkit.zoo import Card

# ("init" | "step" | "epoch" | "finished", figures)
Report = Callable[[str, dict[str, Any]], None]


class Objective(nn.Module):
    """Model and criterion as one module, as DistributedDataParallel wraps a single forward."""

    def __init__(self, model: nn.Module, criterion: Criterion) -> None:
        super().__init__()
        self.model, self._criterion = model, criterion

    def forward(self, pixels: Tensor, batch: Batch) -> dict[str, Tensor]:
        return self._criterion(self.model, pixels, batch.sizes, batch.targets, batch.bank)


@dataclass
class Training:
    """The state of a training: model, losses, optimizer, data and progress reports."""

    config: TrainConfig
    card: zoo.Card
    model: nn.Module
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average | None
    semi: Semi | None
    sampler: EpochSampler
    batches: Any
    processes: Processes
    autocast: bool
    report: Report

    @property
    def bank(self) -> str:
        """sha256 of the weights that made the query banks; "" without banks."""
        return str(self.card.settings.get("bank", ""))

    @property
    def shipped(self) -> nn.Module:
        """The model to validate and save: the average, if any."""
        return self.model if self.average is None else self.average.model


def step(
    training: Training, batch: Batch, unlabelled: Batch | None, number: int
) -> dict[str, float]:
    """ME-STAD Eq. 4: one step on L_sup of a batch plus lambda L_unsup of unlabelled clips, if any.

    number: of the step, counted from 0 over all epochs. Raises StadkitError where the loss is not
    finite.
    """
    optimizer, config = training.optimizer, training.config
    steps = len(training.sampler)
    set_rate(optimizer, learning_rate(config.optimizer.lr, config.schedule, number, steps))
    optimizer.zero_grad()
    try:
        # One after the other: gradients accumulate, and only one graph is in memory.
        losses = {} if unlabelled is None else _backward_unlabelled(training, unlabelled)
        losses = _backward(_losses(training, batch)) | losses
    except Diverged as error:
        retry = "continue with --resume" if number >= steps else "start again"
        raise StadkitError(
            f"{error} at step {number}; lower optimizer.lr or set precision: fp32, then {retry}"
        ) from None
    if config.optimizer.clip_grad:
        nn.utils.clip_grad_norm_(training.model.parameters(), config.optimizer.clip_grad)
    optimizer.step()
    if training.average is not None:
        training.average.follow(training.model)
    if training.semi is not None and unlabelled is None:
        losses |= training.semi.zero_figures(losses)
    return losses


def _losses(training: Training, batch: Batch) -> dict[str, Tensor]:
    """The weighted loss terms of a batch."""
    pixels, batch = to_device(training, batch)
    with cast(training.processes.device, training.autocast):
        losses: dict[str, Tensor] = training.objective(pixels, batch)
    return losses


def _backward_unlabelled(training: Training, batch: Batch) -> dict[str, float]:
    """Add the gradients of clips labelled by the teacher; returns loss terms and counts."""
    semi, average, objective = training.semi, training.average, training.objective
    assert semi is not None  # only the semi-supervised stage has unlabelled clips
    assert average is not None
    pixels, batch = to_device(training, batch)
    # Not synchronised: the labelled clips' backward exchanges the accumulated gradients.
    with _no_sync(objective):
        with cast(training.processes.device, training.autocast):
            batch, counts = semi.pseudo(average.model, pixels, batch)
            losses = semi.weighted(objective(pixels, batch))
        return _backward(losses) | counts


def _no_sync(objective: nn.Module) -> AbstractContextManager[Any]:
    """Keep gradients in this process inside the context."""
    if isinstance(objective, DistributedDataParallel):
        return objective.no_sync()
    return nullcontext()


def to_device(training: Training, batch: Batch) -> tuple[Tensor, Batch]:
    """Move a batch to the device; returns its normalised pixels and the batch."""
    sizes = [(int(height), int(width)) for height, width in batch.sizes.tolist()]
    batch = batch.to(training.processes.device)
    return normalise(batch.pixels, sizes, training.card, training.autocast), batch


def _backward(losses: dict[str, Tensor]) -> dict[str, float]:
    """Add the gradients of the terms' sum; raises Diverged where the sum is not finite."""
    total = torch.stack(list(losses.values())).sum()
    if not torch.isfinite(total):
        raise Diverged(f"the loss became {total.item()}")
    total.backward()  # type: ignore[no-untyped-call]
    return {name: float(value.detach()) for name, value in losses.items()}


def cast(device: torch.device, autocast: bool) -> AbstractContextManager[Any]:
    """A bfloat16 autocast context, if enabled."""
    return torch.autocast(device.type, torch.bfloat16, enabled=autocast)


def normalise(pixels: Tensor, sizes: list[tuple[int, int]], card: Card, half: bool) -> Tensor:
    """Normalise uint8 [B, 3, T, H, W] to float32, or to bfloat16 if `half`.

    sizes [B]: (height, width) of each picture. The padding beyond is zero after normalising, as in
    `detect`.
    """
    kind = torch.bfloat16 if half and is_exact_in_bfloat16(card) else torch.float32
    mean, std = (
        torch.tensor(row, dtype=kind, device=pixels.device).view(3, 1, 1, 1)
        for row in (card.mean, card.std)
    )
    floats = pixels.to(kind, memory_format=torch.channels_last_3d).sub_(mean).div_(std)
    for clip, (height, width) in zip(floats, sizes, strict=True):
        clip[:, :, height:] = 0
        clip[..., width:] = 0
    return floats.to(torch.bfloat16) if half else floats


def is_exact_in_bfloat16(card: Card) -> bool:
    """Whether normalising in bfloat16, which is faster, equals float32 for all 256 levels."""
    mean, std = torch.tensor(card.mean), torch.tensor(card.std)
    level = torch.arange(256.0)[:, None]
    wanted = ((level - mean) / std).bfloat16()
    return torch.equal(wanted, (level.bfloat16() - mean.bfloat16()) / std.bfloat16())
