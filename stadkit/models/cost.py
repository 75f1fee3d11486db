"""Count a detector's parameters and multiply-accumulates without running it."""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


def cost(model: nn.Module, size: int, frames: int | None = None) -> dict[str, float]:
    """{"parameters", "gmacs"} of `model(pixels, sizes)` on one clip of `size` x `size` pixels.

    frames: length of the clip; None: the model's own `frames`. A model that needs boxes gets
    `counted_boxes` of them. Torch's counter includes convolutions and matrix products, also in
    attention (2 FLOPs per multiply-accumulate); norms, activations and pooling, including RoIAlign,
    count as 0. Runs on the meta device: shapes without data.
    """
    if frames is None:
        frames = int(model.frames)  # type: ignore[arg-type]
    state = itertools.chain(model.named_parameters(), model.named_buffers())
    shapes = {name: x.detach().to("meta") for name, x in state}
    pixels = torch.empty(1, 3, frames, size, size, device="meta")
    sizes = torch.empty(1, 2, dtype=torch.long, device="meta")
    count = getattr(model, "counted_boxes", 0)
    boxes = ([torch.empty(count, 4, device="meta")],) if count else ()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        functional_call(model, shapes, (pixels, sizes, *boxes))
    parameters = sum(x.numel() for x in model.parameters())
    return {"parameters": parameters, "gmacs": counter.get_total_flops() / 2e9}
