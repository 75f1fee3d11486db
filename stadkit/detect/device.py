"""Which device and which number format: decided by what the machine has, never by a clock."""

from __future__ import annotations

import torch

from stadkit.errors import UsageError
from stadkit.zoo import bf16_pays

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(asked: str = "auto") -> torch.device:
    """`auto` is CUDA, else Apple's MPS, else the CPU; raises UsageError for one that is absent."""
    if asked == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if _has(name)))
    try:
        device = torch.device(f"cuda:{asked}" if asked.isdecimal() else asked)
    except RuntimeError:
        raise UsageError(
            f"no device is called {asked!r}; say auto, cpu, cuda, cuda:1 or mps"
        ) from None
    if not _has(device.type, device.index or 0):
        raise UsageError(f"device {asked} was asked for, but this machine or this torch has none")
    return device


def _has(kind: str, index: int = 0) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available() and index < torch.cuda.device_count()
    if kind == "mps":
        return torch.backends.mps.is_available()
    return kind == "cpu"


def pick_precision(asked: str, device: torch.device) -> torch.dtype:
    """The dtype of the convolutions; `auto` is bf16 where it pays, fp16 on older CUDA, else fp32.

    Raises UsageError for an unknown name, and for fp16 on a CPU.
    """
    if asked != "auto":
        return _named(asked, device)
    if bf16_pays(device.type):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32


def _named(asked: str, device: torch.device) -> torch.dtype:
    if asked not in PRECISIONS:
        raise UsageError(f"no precision is called {asked!r}; say auto, fp32, bf16 or fp16")
    if asked == "fp16" and device.type == "cpu":
        raise UsageError("fp16 is slow and inexact on a CPU; say bf16 or fp32")
    return PRECISIONS[asked]
