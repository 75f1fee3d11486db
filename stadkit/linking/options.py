"""What `track` linking may be told."""

from __future__ import annotations

from dataclasses import dataclass

from stadkit.errors import UsageError


@dataclass(frozen=True)
class Options:
    """Defaults suit 1 to 30 keyframes a second; raises UsageError for what cannot be."""

    min_iou: float = 0.2  # of a track's box, grown by its uncertainty, and a detection's
    merge_iou: float = 0.7  # boxes of one frame that overlap more are one person
    max_gap: float = 2.0  # seconds that a person may be unseen; three keyframes at least
    max_fill: float = 1.0  # seconds unseen that a tube may go on over; seven keyframes at most
    smooth: float = 0.06  # seconds over which boxes are smoothed; 0: not
    smooth_scores: float = 0.15  # seconds over which actions are
    min_score: float = 0.05  # of an action at its best, to give a tube
    switch: float = 0.05  # seconds of full score that starting or ending an action costs

    def __post_init__(self) -> None:
        for name in ("min_iou", "merge_iou", "min_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name):g}; wants 0 to 1")
        for name in ("max_gap", "max_fill", "smooth", "smooth_scores", "switch"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} is {getattr(self, name):g}; wants seconds, 0 or more")
