"""Conv3d and fused activations against torch's own."""

from typing import Any

import pytest
import torch
from torch import nn

from stadkit.layers.conv import Conv3d, conv_activation, conv_relu6, fusible

CASES: list[dict[str, Any]] = [
    {"kernel_size": 1},
    {"kernel_size": (1, 3, 3), "padding": (0, 1, 1)},
    {"kernel_size": (1, 3, 3), "stride": (1, 2, 2), "padding": (0, 2, 2), "dilation": (1, 2, 2)},
    {"kernel_size": (1, 1, 1), "stride": (1, 2, 2)},
    {"kernel_size": (3, 1, 1), "padding": (1, 0, 0)},
    {"kernel_size": (5, 1, 1), "stride": (4, 1, 1), "padding": (2, 0, 0), "bias": False},
    {"kernel_size": (3, 1, 1), "dilation": (2, 1, 1)},
    {"kernel_size": (3, 3, 3), "padding": 1},
    {"kernel_size": (3, 3, 2), "stride": (2, 1, 2), "dilation": (1, 2, 1), "bias": False},
    # Rare cases fall back to torch.
    {"kernel_size": (1, 1, 1), "stride": (2, 1, 1)},
    {"kernel_size": (3, 1, 1), "stride": (1, 2, 2)},
    {"kernel_size": (1, 3, 3), "padding": (1, 1, 1)},
    {"kernel_size": (1, 3, 3), "padding": "same"},
    {"kernel_size": (1, 3, 3), "groups": 2},
]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("last", [False, True], ids=["plain", "channels-last"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_results_and_gradients_equal_torch(case: dict[str, Any], last: bool, count: int) -> None:
    torch.manual_seed(0)
    kind = torch.channels_last_3d if last else torch.contiguous_format
    plain, flat = nn.Conv3d(4, 6, **case), Conv3d(4, 6, **case)
    flat.load_state_dict(plain.state_dict())
    flat.weight.data = flat.weight.data.contiguous(memory_format=kind)
    x = torch.randn(count, 4, 7, 9, 8).contiguous(memory_format=kind)
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


def test_one_clip_avoids_the_slow_kernel() -> None:
    x = torch.randn(1, 8, 4, 9, 8)
    kernels = []
    for kind in (nn.Conv3d, Conv3d):
        layer = kind(8, 8, 3, padding=1)
        with torch.no_grad(), torch.profiler.profile() as watched:
            layer(x)
        kernels.append({event.key for event in watched.key_averages()})
    assert "aten::slow_conv3d" in kernels[0]  # else Conv3d is not needed
    assert "aten::slow_conv3d" not in kernels[1]


@pytest.mark.filterwarnings("ignore")  # torch's own compile warnings
def test_one_clip_compiles_in_one_piece() -> None:
    layer, x = Conv3d(4, 4, 3), torch.randn(1, 4, 4, 6, 6)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), layer(x), atol=1e-5, rtol=1e-4)


def test_one_clip_under_autocast() -> None:
    layer, x = Conv3d(4, 4, 3), torch.randn(1, 4, 4, 6, 6)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        got = layer(x)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), layer(x), atol=0.02, rtol=0.05)


FUSED: list[dict[str, Any]] = [
    {"kernel_size": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 5, "padding": 2, "groups": 4},
    {"kernel_size": 3, "bias": False},
]


@pytest.mark.parametrize("case", FUSED, ids=str)
def test_fused_activations_give_the_same_results(case: dict[str, Any]) -> None:
    torch.manual_seed(0)
    conv, x = nn.Conv2d(4, 8, **case), 9 * torch.randn(2, 4, 7, 9)
    wanted = conv(x)
    with torch.inference_mode():
        clipped, leaky = conv_relu6(conv, x), conv_activation(conv, x, "leaky_relu", [0.1])
        assert fusible(conv, x)
    torch.testing.assert_close(clipped, wanted.clamp(0, 6), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(leaky, torch.where(wanted > 0, wanted, wanted / 10))
    assert bool((clipped == 6).any())


def test_fusion_is_for_inference_in_float32() -> None:
    conv, x = nn.Conv2d(4, 8, 3), torch.randn(2, 4, 7, 9)
    assert not fusible(conv, x)  # gradients
    conv_relu6(conv, x).sum().backward()
    assert conv.weight.grad is not None
    with torch.no_grad():
        assert fusible(conv, x)
        assert not fusible(conv, x.double())
        assert not fusible(conv, x.to("meta"))
        assert not fusible(nn.Conv2d(4, 8, 3, padding="same"), x)
        with torch.autocast("cpu"):
            assert not fusible(conv, x)
