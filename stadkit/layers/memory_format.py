"""Prepare weights for inference: memory layout, precision, and norms folded into convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def channels_last(model: nn.Module) -> nn.Module:
    """Convert a module's convolution weights to channels-last memory, in place.

    CPUs with vector units and GPUs convolve such maps faster; results stay the same.
    """
    for part in model.modules():
        if isinstance(part, nn.Conv3d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last_3d)
        elif isinstance(part, nn.Conv2d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
    return model


def concat_channels_last(maps: Sequence[Tensor]) -> Tensor:
    """Concatenate maps [B, D_i, T, h, w] to [B, sum of D_i, T, h, w] in channels-last memory.

    torch.cat would change the layout for every later layer.
    """
    return torch.cat([x.movedim(1, -1) for x in maps], -1).movedim(-1, 1)


def lower(model: nn.Module, kind: torch.dtype) -> nn.Module:
    """Convert convolution, linear and attention weights to `kind`, in place, for inference.

    Autocast would cast them in every pass, which for transformers on a CPU takes a fifth of the
    time; results are the same. Other parameters (norms, tables, queries) keep their dtype.
    """
    products = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention)
    for part in model.modules():
        if isinstance(part, products):
            for weight in part.parameters(recurse=False):
                weight.data = weight.data.to(kind)
    return model


def fold_norms(model: nn.Module) -> nn.Module:
    """Fold each batch norm into the convolution before it, in place; for inference only.

    In every model here a norm belongs to the convolution registered right before it. Results are
    the same up to rounding. Norms without such a convolution, or that use batch statistics (in
    training mode), are left alone.
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
