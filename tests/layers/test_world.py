"""Means over all processes."""

import pytest
import torch
from torch import Tensor
from torch import distributed as dist

from stadkit.layers.runtime import world_mean


def test_one_process_returns_the_value_itself() -> None:
    assert world_mean(torch.tensor(3.0)).item() == 3


def test_the_mean_over_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def add_five(total: Tensor) -> None:
        total += 5

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", add_five)
    own = torch.tensor(3.0)
    assert world_mean(own).item() == 4
    assert own.item() == 3
