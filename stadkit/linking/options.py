"""Options of `track` linking."""

from __future__ import annotations

from dataclasses import dataclass

from stadkit.errors import UsageError


@dataclass(frozen=True)
class LinkOptions:
    """Linking options; defaults suit 1 to 30 keyframes a second. UsageError for invalid values."""

    min_iou: float = 0.2  # of a detection and a track's predicted box, padded by its uncertainty
    merge_iou: float = 0.7  # boxes of one frame with a higher IoU are one person
    max_gap: float = 2.0  # seconds that a track survives unseen; at least three keyframes
    max_fill: float = 1.0  # seconds unseen that a tube may bridge; at most seven keyframes
    smooth: float = 0.06  # seconds over which boxes are smoothed; 0: off
    smooth_scores: float = 0.15  # seconds over which action scores are smoothed; 0: off
    min_score: float = 0.05  # minimum peak score of an action for a tube
    switch: float = 0.05  # cost of starting and ending an action, in seconds of full score

    def __post_init__(self) -> None:
        for name in ("min_iou", "merge_iou", "min_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name):g}; wants 0 to 1")
        for name in ("max_gap", "max_fill", "smooth", "smooth_scores", "switch"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} is {getattr(self, name):g}; wants seconds, 0 or more")
