"""Optimizers and learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stadkit.training.config import OptimizerConfig, ScheduleConfig

Group = dict[str, Any]  # a parameter group of torch's optimizers

# Pre-trained parts, and the parts that EVAD trains at the same rate.
SLOW = ("backbone.", "pyramid.", "people.box", "people.feature")
TABLES = ("people.box", "people.feature", "mask_token")  # embeddings, not maps between features


class MuonAdamW(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) on matrices, AdamW on everything else, with one learning rate.

    A convolution's kernel is the matrix [out, in * kernel]. Muon's step is scaled to AdamW's mean
    size (Liu et al. 2025), so that one rate suits both.
    """

    def __init__(self, matrices: list[Group], others: list[Group], config: OptimizerConfig) -> None:
        self._kernels = [kernel for group in matrices for kernel in group["params"]]
        self._flat = [nn.Parameter(_matrix(kernel.detach())) for kernel in self._kernels]
        for kernel, flat in zip(self._kernels, self._flat, strict=True):
            assert flat.data_ptr() == kernel.data_ptr()  # they share memory
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
        """One step of both optimizers."""
        rate = self.param_groups[0]["lr"]
        set_rate(self._muon, rate)
        set_rate(self._adamw, rate)
        for kernel, flat in zip(self._kernels, self._flat, strict=True):
            flat.grad = None if kernel.grad is None else _matrix(kernel.grad)
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adamw.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of both optimizers."""
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Both states put back; settings (rates, decay, momentum) stay as they were built."""
        for own, name in ((self._muon, "muon"), (self._adamw, "adamw")):
            settings = [{k: v for k, v in g.items() if k != "params"} for g in own.param_groups]
            own.load_state_dict(state_dict[name])
            for group, setting in zip(own.param_groups, settings, strict=True):
                group.update(setting)


def _matrix(kernel: Tensor) -> Tensor:
    """A kernel [out, in, ...] as a view [out, ... * in].

    Kernels are stored channels last; Muon does not depend on the order of columns.
    """
    return kernel.movedim(1, -1).reshape(len(kernel), -1)


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build SGD, AdamW or Muon; `set_rate` sets its rates.

    Norms, biases and mask tokens have no weight decay. The backbone and the parts in SLOW learn at
    the plain rate, all others at `head_scale` times that.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if config.name == "sgd":
        return torch.optim.SGD(_groups(config, named), lr=config.lr, momentum=config.momentum)
    if config.name == "adamw":
        return torch.optim.AdamW(_groups(config, named), lr=config.lr)
    hidden = [(name, p) for name, p in named if _is_hidden_matrix(name, p)]
    others = [(name, p) for name, p in named if not _is_hidden_matrix(name, p)]
    return MuonAdamW(_groups(config, hidden), _groups(config, others), config)


def _groups(config: OptimizerConfig, named: Sequence[tuple[str, nn.Parameter]]) -> list[Group]:
    """Parameter groups by learning-rate scale, with and without weight decay."""
    groups = []
    for scale in sorted({1.0, config.head_scale}):
        same_scale = [(name, p) for name, p in named if _scale(name, config.head_scale) == scale]
        for decayed in (True, False):
            params = [p for name, p in same_scale if _decays(name, p) == decayed]
            decay = config.weight_decay if decayed else 0.0
            groups.append({"params": params, "weight_decay": decay, "scale": scale})
    return [group for group in groups if group["params"]]


def _scale(name: str, head_scale: float) -> float:
    return 1.0 if name.startswith(SLOW) else head_scale


def _decays(name: str, p: nn.Parameter) -> bool:
    return p.ndim > 1 and not name.endswith("mask_token")


def _is_hidden_matrix(name: str, kernel: nn.Parameter) -> bool:
    """Whether a weight maps features to features: not a first layer (it reads colours), a last one
    (few outputs) or an embedding."""
    inside = kernel.ndim > 1 and kernel.shape[1] > 3 and len(kernel) > 16
    return inside and not name.endswith(TABLES)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, in each group times the group's scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)


def learning_rate(base: float, schedule: ScheduleConfig, step: int, steps_an_epoch: int) -> float:
    """The rate at a step: `base` times the linear warm-up and the schedule's shape."""
    epoch = step / steps_an_epoch
    if schedule.shape == "steps":
        rate: float = base * 0.1 ** sum(epoch >= end for end in schedule.steps)
    else:
        cosine = 0.5 * (1 + math.cos(math.pi * min(epoch / schedule.epochs, 1)))
        rate = base * (schedule.last + (1 - schedule.last) * cosine)
    if epoch < schedule.warmup:
        rate *= schedule.start + (1 - schedule.start) * epoch / schedule.warmup
    return rate
