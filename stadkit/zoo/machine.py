"""What this machine computes fast."""

from __future__ import annotations

from typing import Any


def bf16_pays(device: str) -> bool:
    """Whether models run faster in bfloat16 on this kind of device (`cpu`, `cuda`, `mps`).

    So they do where the chip has products in bfloat16: on CPUs AMX or AVX512-BF16 (compare
    `stadkit bench model mestad-nano --precision bf16` with fp32), on GPUs since Ampere; older
    GPUs only imitate them. The rule asks for the chip's features, not for a clock, so that two
    runs on one machine give the same numbers.
    """
    import torch

    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return device == "cpu" and bool(able.get("amx_bf16") or able.get("avx512_bf16"))
