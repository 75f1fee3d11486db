"""Selection of device and precision, and its errors."""

import pytest
import torch

from stadkit.detection import pick_device, pick_precision
from stadkit.errors import UsageError

CPU = torch.device("cpu")


def test_names_of_devices() -> None:
    assert pick_device("cpu") == CPU
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        pick_device("gpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "1", "mps"])
def test_a_missing_device_is_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match="not available on this machine"):
        pick_device(name)


@pytest.mark.parametrize(
    ("has", "wanted"),
    [
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"avx2": True}, torch.float32),
    ],
)
def test_auto_follows_the_hardware(
    has: dict[str, bool], wanted: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert pick_precision("auto", CPU) == wanted


def test_emulated_bf16_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )
    assert pick_precision("auto", torch.device("cuda")) == torch.float16


def test_named_precisions() -> None:
    assert pick_precision("bf16", CPU) == torch.bfloat16
    with pytest.raises(UsageError, match="unknown precision 'half'"):
        pick_precision("half", CPU)
    with pytest.raises(UsageError, match="fp16 is slow"):
        pick_precision("fp16", CPU)
