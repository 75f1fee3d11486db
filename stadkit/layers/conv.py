"""Convolutions over space, time or both that avoid torch's slow CPU kernels."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv3d(nn.Conv3d):
    """nn.Conv3d with the same parameters and results, faster for small batches.

    On CPUs, torch uses a slow kernel for small batches of 3D maps (2 to 8 times), which also
    changes the memory layout for all later layers. 2D convolutions have no such kernel, so kernels
    of size 1 in time or in space run as 2D ones; others call oneDNN, which torch uses for large
    batches, directly. Maps in channels-last memory are not copied.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x [B, D, T, h, w] -> [B, outside, T', h', w']."""
        time, *space = self.kernel_size
        plain = self.groups == 1 and self.padding_mode == "zeros"
        if x.ndim != 5 or not plain or isinstance(self.padding, str):
            return super().forward(x)
        if time == 1 and self.stride[0] == 1 and self.padding[0] == 0:
            return self._over_space(x)
        if space == [1, 1] and self.stride[1:] == (1, 1) and self.padding[1:] == (0, 0):
            return self._over_time(x)
        return self._over_both(x) if self._slow(x) else super().forward(x)

    def _over_space(self, x: Tensor) -> Tensor:
        """2D convolution of each frame."""
        clips, frames = x.shape[0], x.shape[2]
        out = F.conv2d(
            x.transpose(1, 2).flatten(0, 1),  # [B T, D, h, w]
            self.weight[:, :, 0].contiguous(memory_format=torch.channels_last),
            self.bias,
            self.stride[1:],
            cast(tuple[int, ...], self.padding)[1:],
            self.dilation[1:],
        )
        return out.view(clips, frames, *out.shape[1:]).transpose(1, 2)

    def _slow(self, x: Tensor) -> bool:
        """Whether torch may use its slow kernel and oneDNN is available instead."""
        if (
            torch.compiler.is_compiling()
            or type(x) is not Tensor
            or torch.is_autocast_enabled("cpu")
        ):
            return False  # these support torch's own convolution only
        supported = x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32
        available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        return supported and len(x) == 1 and available

    def _over_both(self, x: Tensor) -> Tensor:
        padding = cast(tuple[int, ...], self.padding)
        return torch.mkldnn_convolution(
            x, self.weight, self.bias, padding, self.stride, self.dilation, self.groups
        )

    def _over_time(self, x: Tensor) -> Tensor:
        """1D convolution over time, as a 2D one of maps T high and h * w wide."""
        height, width = x.shape[3:]
        out = F.conv2d(
            x.flatten(3),  # [B, D, T, h w]
            self.weight[..., 0].contiguous(memory_format=torch.channels_last),
            self.bias,
            (self.stride[0], 1),
            (cast(tuple[int, ...], self.padding)[0], 0),
            (self.dilation[0], 1),
        )
        return out.view(*out.shape[:3], height, width)


class HalvingConv2d(nn.Conv2d):
    """A stride-2 convolution with TensorFlow's "same" padding of even sides: one more zero at the
    bottom and right.

    Padding channels-last maps takes longer than the convolution; instead, the kernel gets a leading
    row and column of zeros, and the padding is symmetric.
    [B, D, h, w] -> [B, outside, h / 2, w / 2].
    """

    def __init__(self, inside: int, outside: int, kernel: int, groups: int = 1) -> None:
        super().__init__(inside, outside, kernel, 2, kernel // 2, groups=groups)

    def shifted(self) -> Tensor:
        """The kernel with leading zeros: [outside, inside / groups, kernel + 1, kernel + 1]."""
        return F.pad(self.weight, (1, 0, 1, 0)).contiguous(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self._conv_forward(x, self.shifted(), self.bias)
        return out


def conv_relu6(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution of maps [B, D, h, w] followed by ReLU6; see `conv_activation`."""
    if fusible(conv, x):
        return conv_activation(conv, x, "hardtanh", [0.0, 6.0])
    return F.relu6(conv(x), inplace=True)


def fusible(conv: nn.Conv2d, x: Tensor) -> bool:
    """Whether oneDNN can be called directly: on a CPU, in float32, without gradients or tracing."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or type(x) is not Tensor:
        return False
    if torch.is_autocast_enabled("cpu") or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    if x.device.type != "cpu" or not x.dtype == conv.weight.dtype == torch.float32:
        return False
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def conv_activation(conv: nn.Conv2d, x: Tensor, name: str, parameters: list[float]) -> Tensor:
    """A convolution fused with its activation ("hardtanh", "leaky_relu").

    Takes a third less time for small layers, with the same results. Check `fusible` first.
    """
    return cast(
        Tensor,
        torch.ops.mkldnn._convolution_pointwise(
            x,
            conv.shifted() if isinstance(conv, HalvingConv2d) else conv.weight,
            conv.bias,
            cast(tuple[int, ...], conv.padding),
            conv.stride,
            conv.dilation,
            conv.groups,
            name,
            parameters,
            "",
        ),
    )
