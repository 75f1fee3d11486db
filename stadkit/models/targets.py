"""What detectors are trained on: the people of a clip's key frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """The people of one clip's key frame; raises ValueError where a shape is not as said.

    A row of `action` that is all NaN (nobody knows) gives no action loss; its box still trains
    the localization. A single NaN leaves out one class. All 0 is somebody who does none of them:
    EVAD learns that, ME-STAD gives no action loss there.
    """

    box: Tensor  # [n, 4]  x1 y1 x2 y2, pixels of the padded clip
    action: Tensor  # [n, C]  1, 0 or NaN
    joints: Tensor | None = None  # [n, T, J, 2]  x y in each frame, pixels; None: nobody knows

    def __post_init__(self) -> None:
        if self.box.ndim != 2 or self.box.shape[1] != 4:
            raise ValueError(f"Targets.box has shape {tuple(self.box.shape)}, wants [n, 4]")
        if self.action.ndim != 2 or len(self.action) != len(self.box):
            want = f"[{len(self.box)}, C]"
            raise ValueError(f"Targets.action has shape {tuple(self.action.shape)}, wants {want}")


def pad_targets(targets: Sequence[Targets], like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Targets of each clip -> rows [B, M] bool, boxes [B, M, 4], actions [B, M, C].

    `rows` are the real ones. Device and kind of number are those of `like`.
    """
    box, rows = pad_rows([t.box.to(like) for t in targets])
    action, _ = pad_rows([t.action.to(like) for t in targets])
    return rows, box, action


def pad_rows(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Tensors [n_i, ...] -> [B, M, ...] with zeros beyond, and [B, M] which rows are real."""
    padded = torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
    lengths = torch.tensor([len(p) for p in parts], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device) < lengths[:, None]
