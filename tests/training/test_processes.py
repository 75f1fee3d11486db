"""Each process of torchrun has its own device."""

import pytest
import torch

from stadkit.errors import UsageError
from stadkit.training.processes import backend, joined, own_device


def gpus(patch: pytest.MonkeyPatch, count: int) -> None:
    patch.setattr(torch.cuda, "is_available", lambda: count > 0)
    patch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize("asked", ["auto", "cuda", "cuda:0"])
def test_each_process_has_its_gpu(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    gpus(monkeypatch, 2)
    devices = [own_device(asked, rank) for rank in range(2)]
    assert devices == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert {backend(device) for device in devices} == {"nccl"}
    with pytest.raises(UsageError, match="cuda:2"):
        own_device(asked, 2)


def test_processes_share_the_cpu() -> None:
    assert own_device("cpu", 1) == torch.device("cpu")
    assert backend(torch.device("cpu")) == "gloo"


def test_a_missing_gpu_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    with pytest.raises(UsageError, match="device cuda: not available"), joined("cuda"):
        pass
