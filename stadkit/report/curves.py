"""What the pictures of a score show, as numbers: precision over recall, and how sure is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.claims import Claims
from stadkit.metrics.frame_map import FrameMap

Floats = NDArray[np.float64]


def precision_recall(result: FrameMap) -> list[tuple[Floats, Floats]]:
    """(recall, precision) of each class at the first threshold, after each right detection.

    Precision is the envelope that AP is the area of; nothing for a class without truth.
    """
    curves = []
    for rows, truths in zip(result.ranking, result.truths.tolist(), strict=True):
        at = np.flatnonzero(result.right[0, rows]) if truths else np.zeros(0, np.intp)
        hits = np.arange(1, len(at) + 1)
        envelope = np.maximum.accumulate((hits / (at + 1))[::-1])[::-1]
        curves.append((hits / max(truths, 1), envelope))
    return curves


@dataclass(frozen=True)
class Calibration:
    """Detections by score, in bins of equal width over 0..1; bins without one are NaN."""

    edges: Floats  # [b + 1]
    count: NDArray[np.int64]  # [b]
    score: Floats  # [b]  their mean
    right: Floats  # [b]  the share of them that is right

    @property
    def error(self) -> float:
        """How far score and share lie apart, the mean over detections (ECE); NaN without any."""
        some = self.count > 0
        gap = abs(self.score[some] - self.right[some])
        return float(np.average(gap, weights=self.count[some])) if some.any() else float("nan")


def calibration(found: Claims, result: FrameMap, bins: int = 10) -> Calibration:
    """How often detections of a score are right, at the first threshold.

    Only classes with truth, and scores within 0..1, which others than probabilities are not.
    """
    scored = result.counted & (found.score >= 0) & (found.score <= 1)
    scored &= result.truths[found.label.clip(min=0)] > 0
    score, right = found.score[scored], result.right[0, scored]
    edges = np.linspace(0, 1, bins + 1)
    at = np.minimum((score * bins).astype(np.int64), bins - 1)
    count = np.bincount(at, minlength=bins)
    share, mean = np.full(bins, np.nan), np.full(bins, np.nan)
    np.divide(np.bincount(at, right, bins), count, out=share, where=count > 0)
    np.divide(np.bincount(at, score, bins), count, out=mean, where=count > 0)
    return Calibration(edges, count, mean, share)
