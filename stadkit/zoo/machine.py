"""Which precision is fastest on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def bf16_is_faster(device: str) -> bool:
    """Whether models run faster in bfloat16 on this kind of device (`cpu`, `cuda`, `mps`).

    GPUs: since Ampere; older ones only emulate it. CPUs: with AMX, or with AVX512-BF16 on non-Intel
    chips: on Intel's, matrix products in bfloat16 are slower than in float32 (97 against 176
    GFLOP/s a core; compare `stadkit bench model mestad-nano --precision bf16` with fp32). The rule
    depends on the chip, not on a timing, so that two runs on one machine give the same numbers.
    """
    import torch

    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return device == "cpu" and _cpu_has_fast_bf16(capabilities)


def _cpu_has_fast_bf16(capabilities: Mapping[str, Any]) -> bool:
    """Whether a CPU with these capabilities multiplies matrices faster in bfloat16."""
    intel = "intel" in str(capabilities.get("cpu_name", "")).lower()
    return bool(capabilities.get("amx_bf16") or (capabilities.get("avx512_bf16") and not intel))
