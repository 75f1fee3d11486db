"""Flat 3D convolutions beside torch's own."""

from typing import Any

import pytest
import torch
from torch import nn

from stadkit.layers.conv import Conv3d

CASES: list[dict[str, Any]] = [
    {"kernel_size": 1},
    {"kernel_size": (1, 3, 3), "padding": (0, 1, 1)},
    {"kernel_size": (1, 3, 3), "stride": (1, 2, 2), "padding": (0, 2, 2), "dilation": (1, 2, 2)},
    {"kernel_size": (1, 1, 1), "stride": (1, 2, 2)},
    {"kernel_size": (3, 1, 1), "padding": (1, 0, 0)},
    {"kernel_size": (5, 1, 1), "stride": (4, 1, 1), "padding": (2, 0, 0), "bias": False},
    {"kernel_size": (3, 1, 1), "dilation": (2, 1, 1)},
    # Those that are not flat, and rare kinds, are torch's.
    {"kernel_size": (3, 3, 3), "padding": 1},
    {"kernel_size": (1, 1, 1), "stride": (2, 1, 1)},
    {"kernel_size": (3, 1, 1), "stride": (1, 2, 2)},
    {"kernel_size": (1, 3, 3), "padding": (1, 1, 1)},
    {"kernel_size": (1, 3, 3), "padding": "same"},
    {"kernel_size": (1, 3, 3), "groups": 2},
]


@pytest.mark.parametrize("last", [False, True], ids=["plain", "channels-last"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_results_and_gradients_are_torchs(case: dict[str, Any], last: bool) -> None:
    torch.manual_seed(0)
    kind = torch.channels_last_3d if last else torch.contiguous_format
    plain, flat = nn.Conv3d(4, 6, **case), Conv3d(4, 6, **case)
    flat.load_state_dict(plain.state_dict())
    flat.weight.data = flat.weight.data.contiguous(memory_format=kind)
    x = torch.randn(2, 4, 7, 9, 8).contiguous(memory_format=kind)
    a, b = (x.clone(memory_format=torch.preserve_format).requires_grad_() for _ in range(2))
    wanted, got = plain(a), flat(b)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
    wanted.square().sum().backward()
    got.square().sum().backward()
    torch.testing.assert_close(b.grad, a.grad, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(flat.weight.grad, plain.weight.grad, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 1, 1), (1, 1, 1)])
def test_maps_stay_channels_last(kernel: tuple[int, int, int]) -> None:
    layer = Conv3d(8, 8, kernel)
    x = torch.randn(1, 8, 4, 8, 8).contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        assert layer(x).is_contiguous(memory_format=torch.channels_last_3d)
