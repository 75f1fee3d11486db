"""Where each row of a densely labelled AVA CSV is from: a file of the same rows, with more fields.

After the eight fields of the truth come "true" or "pseudo", the time (seconds) of the labelled
keyframe that a pseudo label is from, and what giving it cost; both are empty where there is none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, milliseconds
from stadkit.files.ava_csv import stamp, write_truth
from stadkit.labels import Labels


def write_sources(
    table: Detections,
    labels: Labels,
    path: str | Path,
    pseudo: NDArray[np.bool_],
    source: NDArray[np.float64],
    cost: NDArray[np.float64],
) -> None:
    """Write the rows that `write_truth` writes of this table, in that order, with their sources.

    pseudo [n], source [n] in seconds, cost [n]; NaN: there is none. Raises as `write_truth` does.
    """
    kinds = ["pseudo" if made else "true" for made in pseudo.tolist()]
    columns = zip(kinds, _stamps(source), cost.tolist(), strict=True)
    more = [
        f",{kind},{at},{'' if price != price else f'{price:.6g}'}" for kind, at, price in columns
    ]
    write_truth(table, labels, path, more)


def _stamps(time: NDArray[np.float64]) -> list[str]:
    """Times [n] as AVA prints them, NaN as nothing."""
    whole = milliseconds(np.nan_to_num(time)).tolist()
    return ["" if none else stamp(ms) for none, ms in zip(np.isnan(time), whole, strict=True)]
