"""Which CPUs are faster in bfloat16."""

from typing import Any

import pytest
import torch

from stadkit.zoo import bf16_is_faster

INTEL, AMD = {"cpu_name": "Intel Xeon"}, {"cpu_name": "AMD EPYC"}


@pytest.mark.parametrize(
    ("capabilities", "faster"),
    [
        ({**INTEL, "amx_bf16": True, "avx512_bf16": True}, True),
        ({**INTEL, "amx_bf16": False, "avx512_bf16": True}, False),
        ({**AMD, "avx512_bf16": True}, True),
        (AMD, False),
        ({}, False),
    ],
)
def test_cpus(capabilities: dict[str, Any], faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert bf16_is_faster("cpu") is faster


def test_a_device_without_it() -> None:
    assert not bf16_is_faster("mps")
