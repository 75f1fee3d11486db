"""Fixed codes that tell a transformer where a token lies in space and time."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F


def sinusoid(count: int, width: int) -> Tensor:
    """[count, width] float32: sines in the even columns, cosines in the odd ones.

    The angle of row p is p / 10000^(2 floor(j / 2) / width) in column j (Vaswani et al. 2017,
    section 3.5).
    """
    column = torch.arange(width, dtype=torch.float64, device="cpu")
    row = torch.arange(count, dtype=torch.float64, device="cpu")
    angle = row[:, None] / 10000 ** (2 * (column // 2) / width)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos()).float()


@lru_cache(maxsize=8)
def positions(grid: tuple[int, int, int], base: tuple[int, int], width: int) -> Tensor:
    """[t * h * w, width] float32 on the CPU: a code for each cell of grid (t, h, w), raster order.

    The table is of t x base cells; where (h, w) is not base, each of its slices is stretched to
    (h, w) by a bicubic. Cached: never change it in place.
    """
    slices, height, width_ = grid
    # A table of inference mode could not take part in a later training step.
    with torch.inference_mode(False), torch.no_grad():
        table = sinusoid(slices * base[0] * base[1], width)
        if (height, width_) == base:
            return table
        # In float64: in float32 the last digit, and with it which token is kept, is the machine's.
        maps = table.double().view(slices, *base, width).permute(0, 3, 1, 2)
        maps = F.interpolate(maps, (height, width_), mode="bicubic", align_corners=False)
        return maps.permute(0, 2, 3, 1).reshape(-1, width).float()
