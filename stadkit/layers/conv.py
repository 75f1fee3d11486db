"""Convolutions over space, over time or both, never by torch's slow way."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv3d(nn.Conv3d):
    """nn.Conv3d with the same parameters and results, faster for small batches.

    On CPUs torch computes small batches of 3D maps by a slow way (2 to 8 times), which moreover
    gives maps back in another layout, that all later layers take over. Its 2D convolutions have
    no such way, so a kernel that is flat in time or space is one of these; for others oneDNN, which
    computes large batches, is asked for by name. Maps that are channels-last in memory are not
    copied for it.
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
        """Every frame a picture of its own."""
        clips, frames = x.shape[0], x.shape[2]
        pictures = x.transpose(1, 2).flatten(0, 1)  # [B T, D, h, w]
        out = F.conv2d(
            pictures,
            self.weight[:, :, 0].contiguous(memory_format=torch.channels_last),
            self.bias,
            self.stride[1:],
            cast(tuple[int, ...], self.padding)[1:],
            self.dilation[1:],
        )
        return out.view(clips, frames, *out.shape[1:]).transpose(1, 2)

    def _slow(self, x: Tensor) -> bool:
        """Whether torch may take its slow way, and oneDNN can be had."""
        if (
            torch.compiler.is_compiling()
            or type(x) is not Tensor
            or torch.is_autocast_enabled("cpu")
        ):
            return False  # these know torch's own convolution only
        alike = x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32
        here: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        return alike and len(x) == 1 and here

    def _over_both(self, x: Tensor) -> Tensor:
        padding = cast(tuple[int, ...], self.padding)
        return torch.mkldnn_convolution(
            x, self.weight, self.bias, padding, self.stride, self.dilation, self.groups
        )

    def _over_time(self, x: Tensor) -> Tensor:
        """Every cell a column of a picture T high and h * w wide."""
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
    """A convolution of stride 2, padded as TensorFlow's "same" pads even sides: one zero more at
    the far ends.

    Maps are not padded themselves, which for channels-last ones takes longer than the convolution:
    the kernel gets a row and a column of zeros in front, and the padding is alike on both sides.
    [B, D, h, w] -> [B, outside, h / 2, w / 2].
    """

    def __init__(self, inside: int, outside: int, kernel: int, groups: int = 1) -> None:
        super().__init__(inside, outside, kernel, 2, kernel // 2, groups=groups)

    def shifted(self) -> Tensor:
        """The kernel with zeros in front: [outside, inside / groups, kernel + 1, kernel + 1]."""
        return F.pad(self.weight, (1, 0, 1, 0)).contiguous(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self._conv_forward(x, self.shifted(), self.bias)
        return out


def relu6_of(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """ReLU6 of a convolution of maps [B, D, h, w]; see `activated`."""
    if fusible(conv, x):
        return activated(conv, x, "hardtanh", [0.0, 6.0])
    return F.relu6(conv(x), inplace=True)


def fusible(conv: nn.Conv2d, x: Tensor) -> bool:
    """Whether oneDNN can be asked by name: on a CPU, in float32, where nothing is learned from it
    and no graph of it is wanted."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or type(x) is not Tensor:
        return False
    if torch.is_autocast_enabled("cpu") or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    alike = x.device.type == "cpu" and x.dtype == conv.weight.dtype == torch.float32
    here: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return alike and here and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def activated(conv: nn.Conv2d, x: Tensor, name: str, numbers: list[float]) -> Tensor:
    """A convolution and what follows it ("hardtanh", "leaky_relu") in one pass over memory.

    Takes a third less time for small layers, with the same numbers. Ask `fusible` first.
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
            numbers,
            "",
        ),
    )
