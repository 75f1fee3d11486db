"""A training as it runs, one step at a time.

A training as it runs: model, losses, optimizer, data; and what it tells whoever watches.

One step: forward, backward, optimizer; of labelled clips, and of unlabelled ones beside.

Bytes of a batch -> the floats that a model takes.
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
    """Model and criterion as one module, so that DistributedDataParallel sees one forward."""

    def __init__(self, model: nn.Module, criterion: Criterion) -> None:
        super().__init__()
        self.model, self._criterion = model, criterion

    def forward(self, pixels: Tensor, batch: Batch) -> dict[str, Tensor]:
        return self._criterion(self.model, pixels, batch.sizes, batch.targets, batch.bank)


@dataclass
class Training:
    """What changes while training, and what it is trained on."""

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
        """sha256 of the weights that made the banks of queries; "" without any."""
        return str(self.card.settings.get("bank", ""))

    @property
    def shipped(self) -> nn.Module:
        """The weights to score and keep: the average where there is one."""
        return self.model if self.average is None else self.average.model


def step(training: Training, batch: Batch, more: Batch | None, number: int) -> dict[str, float]:
    """ME-STAD Eq. 4: L_sup of a batch, and lambda L_unsup of unlabelled clips if there are any.

    number: of the step, from 0 in the first epoch on. Raises StadkitError where the loss is not
    finite.
    """
    optimizer, config = training.optimizer, training.config
    steps = len(training.sampler)
    set_rate(optimizer, learning_rate(config.optimizer.lr, config.schedule, number, steps))
    optimizer.zero_grad()
    try:
        # One after the other: gradients add up, and only one graph is in memory.
        losses = {} if more is None else _learn_unlabelled(training, more)
        losses = _learn(_losses(training, batch)) | losses
    except Diverged as error:
        again = "go on with --resume" if number >= steps else "start again"
        raise StadkitError(
            f"{error} at step {number}; lower optimizer.lr or set precision: fp32, then {again}"
        ) from None
    if config.optimizer.clip_grad:
        nn.utils.clip_grad_norm_(training.model.parameters(), config.optimizer.clip_grad)
    optimizer.step()
    if training.average is not None:
        training.average.follow(training.model)
    if training.semi is not None and more is None:
        losses |= training.semi.nothing(losses)
    return losses


def _losses(training: Training, batch: Batch) -> dict[str, Tensor]:
    """The weighted terms of a batch."""
    pixels, batch = as_seen(training, batch)
    with cast(training.processes.device, training.autocast):
        losses: dict[str, Tensor] = training.objective(pixels, batch)
    return losses


def _learn_unlabelled(training: Training, batch: Batch) -> dict[str, float]:
    """The gradients of unlabelled clips, as the teacher sees them; their terms and counts."""
    semi, average, objective = training.semi, training.average, training.objective
    assert semi is not None  # as `_batches` gave such clips
    assert average is not None
    pixels, batch = as_seen(training, batch)
    # Processes exchange the gradients of the labelled clips, to which these are added.
    with _alone(objective):
        with cast(training.processes.device, training.autocast):
            batch, counts = semi.pseudo(average.model, pixels, batch)
            losses = semi.weighted(objective(pixels, batch))
        return _learn(losses) | counts


def _alone(objective: nn.Module) -> AbstractContextManager[Any]:
    """In it, gradients stay in this process."""
    if isinstance(objective, DistributedDataParallel):
        return objective.no_sync()
    return nullcontext()


def as_seen(training: Training, batch: Batch) -> tuple[Tensor, Batch]:
    """Normalised pixels and the batch on the device."""
    sizes = [(int(height), int(width)) for height, width in batch.sizes.tolist()]
    batch = batch.to(training.processes.device)
    return normalise(batch.pixels, sizes, training.card, training.autocast), batch


def _learn(losses: dict[str, Tensor]) -> dict[str, float]:
    """Adds to the gradients those of the sum; raises Diverged where that is not finite."""
    total = torch.stack(list(losses.values())).sum()
    if not torch.isfinite(total):
        raise Diverged(f"the loss became {total.item()}")
    total.backward()  # type: ignore[no-untyped-call]
    return {name: float(value.detach()) for name, value in losses.items()}


def cast(device: torch.device, autocast: bool) -> AbstractContextManager[Any]:
    """bfloat16 autocast, or nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=autocast)


def normalise(pixels: Tensor, sizes: list[tuple[int, int]], card: Card, half: bool) -> Tensor:
    """uint8 [B, 3, T, H, W] -> normalised float32, or bfloat16; zero beyond sizes [B].

    sizes: (height, width) of each picture. Padding is zero after normalising, not black: that
    is how `detect` pads.
    """
    kind = torch.bfloat16 if half and in_bfloat16(card) else torch.float32
    mean, std = (
        torch.tensor(row, dtype=kind, device=pixels.device).view(3, 1, 1, 1)
        for row in (card.mean, card.std)
    )
    floats = pixels.to(kind, memory_format=torch.channels_last_3d).sub_(mean).div_(std)
    for clip, (height, width) in zip(floats, sizes, strict=True):
        clip[:, :, height:] = 0
        clip[..., width:] = 0
    return floats.to(torch.bfloat16) if half else floats


def in_bfloat16(card: Card) -> bool:
    """Whether computing in bfloat16, which is faster, gives all 256 levels as float32 does."""
    mean, std = torch.tensor(card.mean), torch.tensor(card.std)
    level = torch.arange(256.0)[:, None]
    wanted = ((level - mean) / std).bfloat16()
    return torch.equal(wanted, (level.bfloat16() - mean.bfloat16()) / std.bfloat16())
