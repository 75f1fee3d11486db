"""Optimiser and learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stadkit.training.config import OptimizerConfig, ScheduleConfig

Group = dict[str, Any]  # a group of parameters, as torch's optimizers take them

# What starts from other weights, or, in EVAD, learns as slowly as that.
SLOW = ("backbone.", "pyramid.", "people.box", "people.feature")
TABLES = ("people.box", "people.feature", "mask_token")  # learned rows, not maps between features


class MuonAdamW(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) on matrices, AdamW on everything else, at one learning rate.

    A convolution's kernel is the matrix [outside, inside * kernel]. Muon's step is scaled to
    AdamW's mean size (Liu et al. 2025), so that one rate suits both.
    """

    def __init__(self, matrices: list[Group], others: list[Group], config: OptimizerConfig) -> None:
        self._kernels = [kernel for group in matrices for kernel in group["params"]]
        self._flat = [nn.Parameter(_matrix(kernel.detach())) for kernel in self._kernels]
        for kernel, flat in zip(self._kernels, self._flat, strict=True):
            assert flat.data_ptr() == kernel.data_ptr()  # a step on one is a step on the other
        flat_of = dict(zip(self._kernels, self._flat, strict=True))
        self._muon = torch.optim.Muon(
            [{**group, "params": [flat_of[p] for p in group["params"]]} for group in matrices],
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = torch.optim.AdamW(others, lr=config.lr)
        rest = [p for group in others for p in group["params"]]
        super().__init__([{"params": [*self._kernels, *rest]}], {"lr": config.lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of both."""
        rate = self.param_groups[0]["lr"]
        set_rate(self._muon, rate)
        set_rate(self._adamw, rate)
        for kernel, flat in zip(self._kernels, self._flat, strict=True):
            flat.grad = None if kernel.grad is None else _matrix(kernel.grad)
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adamw.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of both."""
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Both states put back; settings (rates, decay, momentum) stay as they were built."""
        for own, name in ((self._muon, "muon"), (self._adamw, "adamw")):
            settings = [{k: v for k, v in g.items() if k != "params"} for g in own.param_groups]
            own.load_state_dict(state_dict[name])
            for group, setting in zip(own.param_groups, settings, strict=True):
                group.update(setting)


def _matrix(kernel: Tensor) -> Tensor:
    """A kernel [outside, inside, ...] as [outside, ... * inside], without a copy.

    Convolutions are kept channels last; the order of columns is nothing to Muon.
    """
    return kernel.movedim(1, -1).reshape(len(kernel), -1)


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """SGD, AdamW or Muon, to be given its rates by `set_rate`.

    Norms, biases and mask tokens are not decayed. The backbone and what belongs to it (SLOW)
    learns at the plain rate, all else at `head_scale` times that.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if config.name == "sgd":
        return torch.optim.SGD(_groups(config, named), lr=config.lr, momentum=config.momentum)
    if config.name == "adamw":
        return torch.optim.AdamW(_groups(config, named), lr=config.lr)
    hidden = [(name, p) for name, p in named if _hidden(name, p)]
    others = [(name, p) for name, p in named if not _hidden(name, p)]
    return MuonAdamW(_groups(config, hidden), _groups(config, others), config)


def _groups(config: OptimizerConfig, named: Sequence[tuple[str, nn.Parameter]]) -> list[Group]:
    """Of each scale of the rate: what is decayed, and what is not."""
    groups = []
    for scale in sorted({1.0, config.head_scale}):
        own = [(name, p) for name, p in named if _scale(name, config.head_scale) == scale]
        for decayed in (True, False):
            params = [p for name, p in own if _decays(name, p) == decayed]
            decay = config.weight_decay if decayed else 0.0
            groups.append({"params": params, "weight_decay": decay, "scale": scale})
    return [group for group in groups if group["params"]]


def _scale(name: str, head_scale: float) -> float:
    return 1.0 if name.startswith(SLOW) else head_scale


def _decays(name: str, p: nn.Parameter) -> bool:
    return p.ndim > 1 and not name.endswith("mask_token")


def _hidden(name: str, kernel: nn.Parameter) -> bool:
    """A map between features: neither the first layer of a network (it reads colours) nor a last
    one (few outputs), nor learned rows."""
    inside = kernel.ndim > 1 and kernel.shape[1] > 3 and len(kernel) > 16
    return inside and not name.endswith(TABLES)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of a step, in each group times its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)


def learning_rate(base: float, schedule: ScheduleConfig, step: int, steps_an_epoch: int) -> float:
    """The rate at a step: linear warm-up times what the schedule's shape leaves of `base`."""
    epoch = step / steps_an_epoch
    if schedule.shape == "steps":
        rate: float = base * 0.1 ** sum(epoch >= end for end in schedule.steps)
    else:
        cosine = 0.5 * (1 + math.cos(math.pi * min(epoch / schedule.epochs, 1)))
        rate = base * (schedule.last + (1 - schedule.last) * cosine)
    if epoch < schedule.warmup:
        rate *= schedule.start + (1 - schedule.start) * epoch / schedule.warmup
    return rate
