"""Optimiser and learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from stadkit.training.config import OptimizerConfig, ScheduleConfig

WARMUP_FROM = 0.1  # share of the rate at step 0 (SE-STAD's release)


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """SGD or AdamW; norms and biases are not decayed."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=config.lr)


def learning_rate(base: float, schedule: ScheduleConfig, step: int, steps_an_epoch: int) -> float:
    """The rate at a step: linear warm-up times a cosine from `base` to `last` of it."""
    total = schedule.epochs * steps_an_epoch
    warm = schedule.warmup * steps_an_epoch
    cosine = 0.5 * (1 + math.cos(math.pi * min(step / total, 1)))
    rate = base * (schedule.last + (1 - schedule.last) * cosine)
    if step < warm:
        rate *= WARMUP_FROM + (1 - WARMUP_FROM) * step / warm
    return rate
