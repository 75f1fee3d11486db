"""Average precision: the area under the precision-recall curve, by envelope or by straight lines.

Average precision: the area under the precision envelope over all recalls (VOC 2010 on).

Average precision as ACT and MOC compute it: the area under straight lines, in float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def average_precision(right: NDArray[np.bool_], truths: int) -> float:
    """AP of detections that are right or not, best first; NaN without truth."""
    if not truths:
        return float("nan")
    at = np.flatnonzero(right)
    precision = np.arange(1, len(at) + 1) / (at + 1)
    # Between two right ones precision only falls, so that these places hold the envelope.
    envelope = np.maximum.accumulate(precision[::-1])
    return float(envelope.sum() / truths)


def known_mean(values: NDArray[np.float64]) -> float:
    """The mean of those that are not NaN, as evaluators take it over classes; NaN of none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def trapezoid_precision(right: NDArray[np.bool_], truths: int) -> float:
    """AP of detections that are right or not, best first; NaN without truth.

    The points of recall and precision are joined by straight lines, from precision 1 at
    recall 0 on; there is no envelope, and nothing after the last detection.
    """
    if not truths:
        return float("nan")
    hits = np.cumsum(right)
    precision = np.append(1, hits / np.arange(1, len(right) + 1)).astype(np.float32)
    recall = np.append(0, hits / truths).astype(np.float32)
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) * np.float32(0.5)))
