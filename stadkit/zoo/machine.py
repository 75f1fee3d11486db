"""What this machine computes fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def bf16_is_faster(device: str) -> bool:
    """Whether models run faster in bfloat16 on this kind of device (`cpu`, `cuda`, `mps`).

    On GPUs they do since Ampere; older ones only imitate it. On CPUs they do with AMX, and with
    AVX512-BF16 where it is not Intel's: there a product takes longer in bfloat16 than in float32
    (97 against 176 GFLOP/s a core; compare `stadkit bench model mestad-nano --precision bf16`
    with fp32). The rule asks for the chip, not for a clock, so that two runs on one machine give
    the same numbers.
    """
    import torch

    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return device == "cpu" and _products_in_bf16(able)


def _products_in_bf16(able: Mapping[str, Any]) -> bool:
    """Whether a CPU that is `able` to do these things is faster at products in bfloat16."""
    intel = "intel" in str(able.get("cpu_name", "")).lower()
    return bool(able.get("amx_bf16") or (able.get("avx512_bf16") and not intel))
