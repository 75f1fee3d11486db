"""A training as it runs: model, losses, optimizer, data; and what it tells whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stadkit import zoo
from stadkit.training.batches import Batch, EpochSampler
from stadkit.training.checkpoint import Average
from stadkit.training.config import TrainConfig
from stadkit.training.criteria import Criterion
from stadkit.training.processes import Processes
from stadkit.training.semi import Semi

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
