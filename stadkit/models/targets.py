"""Training targets: the people on a clip's key frame, or in all its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """The people on one clip's key frame; raises ValueError for a wrong shape.

    A row of `action` that is all NaN (unknown) has no action loss; its box still trains
    localization. A single NaN ignores one class. All 0 is a person doing none of the actions:
    EVAD trains on that, ME-STAD has no action loss there.
    """

    box: Tensor  # [n, 4]  x1 y1 x2 y2, pixels of the padded clip
    action: Tensor  # [n, C]  1, 0 or NaN
    joints: Tensor | None = None  # [n, T, J, 2]  x y in each frame, pixels; None: unknown

    def __post_init__(self) -> None:
        if self.box.ndim != 2 or self.box.shape[1] != 4:
            raise ValueError(f"Targets.box has shape {tuple(self.box.shape)}, wants [n, 4]")
        if self.action.ndim != 2 or len(self.action) != len(self.box):
            want = f"[{len(self.box)}, C]"
            raise ValueError(f"Targets.action has shape {tuple(self.action.shape)}, wants {want}")


@dataclass(frozen=True)
class TubeTargets:
    """The people of one clip in each of its frames.

    Raises ValueError for a wrong shape and for a person present in no frame.
    """

    box: Tensor  # [n, T, 4]  x1 y1 x2 y2, pixels of the padded clip; arbitrary where absent
    there: Tensor  # [n, T]  1: present and visible; 0: absent; NaN: unknown
    action: Tensor  # [n, C]  1, 0 or NaN: done in at least half of the frames with the person

    def __post_init__(self) -> None:
        n, frames = len(self.box), self.box.shape[1] if self.box.ndim > 1 else 0
        _check("box", self.box, self.box.ndim == 3 and self.box.shape[2] == 4, "[n, T, 4]")
        _check("there", self.there, self.there.shape == (n, frames), f"[{n}, {frames}]")
        _check("action", self.action, self.action.shape[:-1] == (n,), f"[{n}, C]")
        # Only on the CPU, where targets are made: elsewhere this would synchronize the device.
        if self.there.device.type == "cpu" and not (self.there == 1).any(1).all():
            row = int((self.there == 1).any(1).int().argmin())
            raise ValueError(f"TubeTargets.there has no 1 in row {row}: omit absent people")


AnyTargets = Targets | TubeTargets


def _check(name: str, column: Tensor, fits: bool, want: str) -> None:
    if not fits:
        raise ValueError(f"TubeTargets.{name} has shape {tuple(column.shape)}, wants {want}")


def pad_targets(targets: Sequence[Targets], like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pad the targets of each clip: rows [B, M] bool, boxes [B, M, 4], actions [B, M, C].

    `rows` marks real targets. Device and dtype are those of `like`.
    """
    box, rows = pad_rows([t.box.to(like) for t in targets])
    action, _ = pad_rows([t.action.to(like) for t in targets])
    return rows, box, action


def pad_rows(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Zero-pad tensors [n_i, ...] to [B, M, ...], with a mask [B, M] of real rows."""
    padded = torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
    lengths = torch.tensor([len(p) for p in parts], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device) < lengths[:, None]
