"""What detectors are trained on: the people of a clip's key frame, or of all its frames."""

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


@dataclass(frozen=True)
class TubeTargets:
    """The people of one clip in each of its frames.

    Raises ValueError where a shape is not as said, and for somebody who is there in no frame.
    """

    box: Tensor  # [n, T, 4]  x1 y1 x2 y2, pixels of the padded clip; anything where not there
    there: Tensor  # [n, T]  1: there and visible; 0: not; NaN: nobody knows
    action: Tensor  # [n, C]  1, 0 or NaN: done in at least half of the frames in which one is there

    def __post_init__(self) -> None:
        n, frames = len(self.box), self.box.shape[1] if self.box.ndim > 1 else 0
        _check("box", self.box, self.box.ndim == 3 and self.box.shape[2] == 4, "[n, T, 4]")
        _check("there", self.there, self.there.shape == (n, frames), f"[{n}, {frames}]")
        _check("action", self.action, self.action.shape[:-1] == (n,), f"[{n}, C]")
        # Elsewhere than on the CPU, where targets are made, this would wait for the device.
        if self.there.device.type == "cpu" and not (self.there == 1).any(1).all():
            row = int((self.there == 1).any(1).int().argmin())
            raise ValueError(f"TubeTargets.there has no 1 in row {row}: leave out who is not there")


AnyTargets = Targets | TubeTargets


def _check(name: str, column: Tensor, fits: bool, want: str) -> None:
    if not fits:
        raise ValueError(f"TubeTargets.{name} has shape {tuple(column.shape)}, wants {want}")


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
