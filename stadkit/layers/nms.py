"""Non-maximum suppression over a batch, without a loop over boxes or clips."""

from __future__ import annotations

import torch
from torch import Tensor

from stadkit.layers import overlap


def nms(box: Tensor, score: Tensor, max_iou: float, most: int) -> tuple[Tensor, Tensor]:
    """The `most` best boxes of each clip, best first, none above `max_iou` with a better one.

    box [B, N, 4] in any unit, score [B, N] where -inf (or NaN) keeps a box out.
    Returns (index [B, most] into N, kept [B, most] bool); index is 0 where kept is False.
    Same boxes as greedy suppression of the whole list; equal scores keep their order.
    """
    index, kept = [], []
    score = score.masked_fill(score.isnan(), -torch.inf)
    for _ in range(most if box.shape[1] else 0):
        best, at = score.max(1)  # [B]
        kept.append(best > -torch.inf)
        index.append(at * kept[-1])
        chosen = box.gather(1, at[:, None, None].expand(-1, 1, 4))  # [B, 1, 4]
        near = overlap.iou(chosen, box) > max_iou  # [B, N]
        score = score.masked_fill(near, -torch.inf).scatter(1, at[:, None], -torch.inf)
    if not index:
        empty = torch.zeros(box.shape[0], most, dtype=torch.long, device=box.device)
        return empty, empty.bool()
    return torch.stack(index, 1), torch.stack(kept, 1)
