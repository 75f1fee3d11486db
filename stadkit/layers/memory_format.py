"""Weights made ready for inference: memory layout, and norms folded into convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def channels_last(model: nn.Module) -> nn.Module:
    """The same module, its convolution weights laid out as channels-last pixels want them.

    CPUs with vector units and GPUs convolve such maps faster; the numbers stay the same.
    """
    for part in model.modules():
        if isinstance(part, nn.Conv3d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last_3d)
        elif isinstance(part, nn.Conv2d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
    return model


def beside(maps: Sequence[Tensor]) -> Tensor:
    """Maps [B, D_i, T, h, w] as one [B, sum of D_i, T, h, w] that is channels-last in memory.

    torch.cat would lay it out otherwise, and every layer after it would go on so.
    """
    return torch.cat([x.movedim(1, -1) for x in maps], -1).movedim(-1, 1)


def lower(model: nn.Module, kind: torch.dtype) -> nn.Module:
    """The same module, the weights of its products in `kind`: for inference under autocast.

    Autocast would cast them again at every pass, which for transformers on a CPU takes as long as
    a fifth of the work; the numbers are the same. What is not a weight of a convolution, linear or
    attention layer (norms, tables, queries) stays as it is.
    """
    products = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention)
    for part in model.modules():
        if isinstance(part, products):
            for weight in part.parameters(recurse=False):
                weight.data = weight.data.to(kind)
    return model


def fold_norms(model: nn.Module) -> nn.Module:
    """The same module with a pass over its maps less for each batch norm; it cannot be trained.

    A norm is of the convolution that was registered right before it, in every model here. Results
    are the same but for rounding. Norms that follow nothing, or that would count their batch (a
    module in training), stay.
    """
    for part in model.modules():
        children = list(part.named_children())
        for (_, conv), (name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv3d) and _follows(norm, conv):
                _fold(conv, norm)
                setattr(part, name, nn.Identity())
    return model


def _follows(norm: nn.Module, conv: nn.Conv3d) -> bool:
    return (
        isinstance(norm, nn.BatchNorm3d)
        and norm.num_features == conv.out_channels
        and norm.track_running_stats
        and not norm.training
    )


def _fold(conv: nn.Conv3d, norm: nn.Module) -> None:
    assert isinstance(norm, nn.BatchNorm3d)
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,  # type: ignore[arg-type]
        norm.running_var,  # type: ignore[arg-type]
        norm.eps,
        norm.weight,
        norm.bias,
    )
