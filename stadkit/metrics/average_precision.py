"""Average precision: the area under the precision-recall curve.

Either under the precision envelope over all recalls (VOC 2010 on), or by the trapezoidal rule in
float32, as ACT and MOC compute it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def average_precision(right: NDArray[np.bool_], truths: int) -> float:
    """AP under the precision envelope; `right` is best first; NaN without truth."""
    if not truths:
        return float("nan")
    at = np.flatnonzero(right)
    precision = np.arange(1, len(at) + 1) / (at + 1)
    # Precision only falls between right detections, so these indices hold the envelope.
    envelope = np.maximum.accumulate(precision[::-1])
    return float(envelope.sum() / truths)


def known_mean(values: NDArray[np.float64]) -> float:
    """Mean of the non-NaN values, as evaluators average over classes; NaN without any."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def trapezoid_precision(right: NDArray[np.bool_], truths: int) -> float:
    """AP by the trapezoidal rule; `right` is best first; NaN without truth.

    (recall, precision) points are joined by straight lines from precision 1 at recall 0, without
    an envelope; the area ends at the last detection.
    """
    if not truths:
        return float("nan")
    hits = np.cumsum(right)
    precision = np.append(1, hits / np.arange(1, len(right) + 1)).astype(np.float32)
    recall = np.append(0, hits / truths).astype(np.float32)
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) * np.float32(0.5)))
