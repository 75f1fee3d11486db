"""Batch norms folded into the convolutions before them, for inference."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


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
