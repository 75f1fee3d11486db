"""Optimiser and learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from stadkit.training.config import OptimizerConfig, ScheduleConfig

WARMUP_FROM = 0.1  # share of the rate at step 0 (SE-STAD's release)


class MuonAdamW(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) on matrices, AdamW on everything else, at one learning rate.

    A convolution's kernel is the matrix [outside, inside * kernel]. Muon's step is scaled to
    AdamW's mean size (Liu et al. 2025), so that one rate suits both.
    """

    def __init__(
        self, matrices: list[nn.Parameter], others: list[dict[str, Any]], config: OptimizerConfig
    ) -> None:
        self._kernels = matrices
        self._flat = [nn.Parameter(_matrix(kernel.detach())) for kernel in matrices]
        for kernel, flat in zip(matrices, self._flat, strict=True):
            assert flat.data_ptr() == kernel.data_ptr()  # a step on one is a step on the other
        self._muon = torch.optim.Muon(
            self._flat,
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = torch.optim.AdamW(others, lr=config.lr)
        rest = [p for group in others for p in group["params"]]
        super().__init__([{"params": [*matrices, *rest]}], {"lr": config.lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of both."""
        rate = self.param_groups[0]["lr"]
        for group in (*self._muon.param_groups, *self._adamw.param_groups):
            group["lr"] = rate
        for kernel, flat in zip(self._kernels, self._flat, strict=True):
            flat.grad = None if kernel.grad is None else _matrix(kernel.grad)
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adamw.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of both."""
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Both states put back."""
        self._muon.load_state_dict(state_dict["muon"])
        self._adamw.load_state_dict(state_dict["adamw"])


def _matrix(kernel: Tensor) -> Tensor:
    """A kernel [outside, inside, ...] as [outside, ... * inside], without a copy.

    Convolutions are kept channels last; the order of columns is nothing to Muon.
    """
    return kernel.movedim(1, -1).reshape(len(kernel), -1)


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """SGD, AdamW or Muon; norms and biases are not decayed."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    matrices = [p for p in groups[0]["params"] if _hidden(p)]
    groups[0]["params"] = [p for p in groups[0]["params"] if not _hidden(p)]
    return MuonAdamW(matrices, groups, config)


def _hidden(kernel: nn.Parameter) -> bool:
    """Neither the first layer of a network (it reads colours) nor a last one (few outputs)."""
    return kernel.ndim > 1 and kernel.shape[1] > 3 and len(kernel) > 16


def learning_rate(base: float, schedule: ScheduleConfig, step: int, steps_an_epoch: int) -> float:
    """The rate at a step: linear warm-up times a cosine from `base` to `last` of it."""
    total = schedule.epochs * steps_an_epoch
    warm = schedule.warmup * steps_an_epoch
    cosine = 0.5 * (1 + math.cos(math.pi * min(step / total, 1)))
    rate = base * (schedule.last + (1 - schedule.last) * cosine)
    if step < warm:
        rate *= WARMUP_FROM + (1 - WARMUP_FROM) * step / warm
    return rate
