"""Small tables to label: people as (time, box, what they do or their scores)."""

from collections.abc import Sequence

import numpy as np

from stadkit.detections import Detections, Keyframes
from stadkit.tla import Labelled

CLASSES = ("stand", "sit", "wave")
LEFT, RIGHT = (0.1, 0.2, 0.3, 0.9), (0.6, 0.2, 0.8, 0.9)  # two places far from each other
STAND, SIT, WAVE = (1, 0, 0), (0, 1, 0), (1, 0, 1)

Row = tuple[float, tuple[float, float, float, float], tuple[float, float, float]]


def table(rows: Sequence[Row], tracks: Sequence[int] = (), video: str = "a") -> Detections:
    """One video's rows; person scores 0.5, 0.51, ..., so that rows can be distinguished."""
    n = len(rows)
    return Detections(
        np.full(n, video),
        np.array([time for time, *_ in rows], np.float64),
        np.array([box for _, box, _ in rows], np.float32).reshape(n, 4),
        (0.5 + 0.01 * np.arange(n)).astype(np.float32),
        np.array([does for *_, does in rows], np.float32).reshape(n, 3),
        np.array(tracks if len(tracks) else [-1] * n, np.int32),
        CLASSES,
    )


def keyframes(*times: float, video: str = "a") -> Keyframes:
    return Keyframes(np.full(len(times), video), np.array(times, np.float64))


def actions_of(labels: Labelled) -> list[list[int]]:
    """Return the labels of each row as integers."""
    rows: list[list[int]] = labels.table.action.astype(int).tolist()
    return rows
