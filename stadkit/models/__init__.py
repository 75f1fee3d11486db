"""Detectors: `model(pixels, sizes) -> Outputs`.

Letters in shape comments, here and in all packages that build on this one:
B clips, T frames, H W pixels, h w cells of a feature map, N people (or points),
C classes, D channels, L pyramid levels.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """The outputs of every detector; raises ValueError for a wrong shape.

    Padding rows, beyond the people found in a clip, have a person logit of -inf.
    """

    person: Tensor  # [B, N]        logit: person minus background
    box: Tensor  # [B, N, T, 4]  x1 y1 x2 y2, fractions of the unpadded clip, not clipped
    action: Tensor  # [B, N, C]     logits, one independent score per class
    present: Tensor | None = None  # [B, N, T]  presence logit in each frame; None: in all

    def __post_init__(self) -> None:
        b, n = self.person.shape
        if self.box.ndim != 4 or self.box.shape[:2] != (b, n) or self.box.shape[3] != 4:
            raise ValueError(
                f"Outputs.box has shape {tuple(self.box.shape)}, wants [{b}, {n}, T, 4]"
            )
        if self.action.ndim != 3 or self.action.shape[:2] != (b, n):
            raise ValueError(
                f"Outputs.action has shape {tuple(self.action.shape)}, wants [{b}, {n}, C]"
            )
        if self.present is not None and self.present.shape != self.box.shape[:3]:
            raise ValueError(
                f"Outputs.present has shape {tuple(self.present.shape)}, "
                f"wants {list(self.box.shape[:3])}"
            )
