"""The device and precision to use: chosen by the hardware present, never by timing."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from stadkit.errors import StadkitError, UsageError
from stadkit.zoo import bf16_is_faster

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA, else Apple's MPS, else the CPU; raises UsageError if it is not available."""
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if _has(kind)))
    try:
        device = torch.device(f"cuda:{name}" if name.isdecimal() else name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r}; use auto, cpu, cuda, cuda:1 or mps") from None
    if not _has(device.type, device.index or 0):
        reason = cuda_complaint() if device.type == "cuda" else ""
        raise UsageError(
            f"device {name}: not available on this machine or in this build of torch"
            + (f" ({reason})" if reason else "")
        )
    return device


def _has(kind: str, index: int = 0) -> bool:
    if kind == "cuda":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an outdated driver; `cuda_complaint` returns it
            return torch.cuda.is_available() and index < torch.cuda.device_count()
    if kind == "mps":
        return torch.backends.mps.is_available()
    return kind == "cpu"


def cuda_complaint() -> str:
    """The first line of torch's warning about a CUDA it cannot use; empty without one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.is_available()
    return str(caught[0].message).splitlines()[0] if caught else ""


def moved(model: nn.Module, device: torch.device) -> nn.Module:
    """Move the module to the device; raises StadkitError if it fails or runs out of memory."""
    try:
        return model.to(device)
    except torch.OutOfMemoryError:
        why = "has too little memory for the weights"
    except RuntimeError as error:  # CUDA: a driver or chip that this torch does not support
        why = f"cannot be used ({str(error).splitlines()[0]})"
    raise StadkitError(f"{device}: {why}; try --device cpu, and see `stadkit doctor`")


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The compute dtype; `auto` is bf16 where it is faster, fp16 on older CUDA, else fp32.

    Raises UsageError for an unknown name, and for fp16 on a CPU.
    """
    if name != "auto":
        return _named_precision(name, device)
    if bf16_is_faster(device.type):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32


def _named_precision(name: str, device: torch.device) -> torch.dtype:
    if name not in PRECISIONS:
        raise UsageError(f"unknown precision {name!r}; use auto, fp32, bf16 or fp16")
    if name == "fp16" and device.type == "cpu":
        raise UsageError("fp16 is slow and inexact on a CPU; use bf16 or fp32")
    return PRECISIONS[name]
