"""Average precision: the area under the precision envelope over all recalls (VOC 2010 on)."""

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
