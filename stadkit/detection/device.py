"""Which device and which number format: decided by what the machine has, never by a clock."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from stadkit.errors import StadkitError, UsageError
from stadkit.zoo import bf16_is_faster

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
        told = cuda_complaint() if device.type == "cuda" else ""
        raise UsageError(
            f"device {asked} was asked for, but this machine or this torch has none"
            + (f" ({told})" if told else "")
        )
    return device


def _has(kind: str, index: int = 0) -> bool:
    if kind == "cuda":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a driver too old; `cuda_complaint` has it
            return torch.cuda.is_available() and index < torch.cuda.device_count()
    if kind == "mps":
        return torch.backends.mps.is_available()
    return kind == "cpu"


def cuda_complaint() -> str:
    """What torch has to say of a CUDA that it cannot use, in one line; else empty."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.is_available()
    return str(told[0].message).splitlines()[0] if told else ""


def moved(model: nn.Module, device: torch.device) -> nn.Module:
    """The module on the device; raises StadkitError where the device fails or is too small."""
    try:
        return model.to(device)
    except torch.OutOfMemoryError:
        why = "has too little memory for the weights"
    except RuntimeError as error:  # of CUDA: a driver or chip that this torch is not for
        why = f"cannot be used ({str(error).splitlines()[0]})"
    raise StadkitError(f"{device}: {why}; try --device cpu, and see `stadkit doctor`")


def pick_precision(asked: str, device: torch.device) -> torch.dtype:
    """The dtype of the convolutions; `auto` is bf16 where it pays, fp16 on older CUDA, else fp32.

    Raises UsageError for an unknown name, and for fp16 on a CPU.
    """
    if asked != "auto":
        return _named(asked, device)
    if bf16_is_faster(device.type):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32


def _named(asked: str, device: torch.device) -> torch.dtype:
    if asked not in PRECISIONS:
        raise UsageError(f"no precision is called {asked!r}; say auto, fp32, bf16 or fp16")
    if asked == "fp16" and device.type == "cpu":
        raise UsageError("fp16 is slow and inexact on a CPU; say bf16 or fp32")
    return PRECISIONS[asked]
