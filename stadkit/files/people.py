"""Rows of a file of boxes -> people: which rows are about the same one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import milliseconds

# By name, each [n]: video (codes), time (s), box float32 [n, 4], action, person (truth) ...
Columns = dict[str, Any]


def people(rows: Columns) -> NDArray[np.intp]:
    """The person [n] of each row, numbered by first appearance.

    Rows of one video, time (to a millisecond), box and person id are one person, who does each
    action once: the second row of the same action is of a second person.
    """
    import pandas as pd

    tracks = [rows["person"]] if "person" in rows else []
    person = _equal(*_frame_and_box(rows), *tracks)
    deed = person * (rows["action"].max(initial=0) + 2) + rows["action"] + 1
    if not pd.Series(deed).duplicated().any():
        return person
    again = pd.Series(deed).groupby(deed).cumcount().to_numpy()
    return _equal(person, again)


def same_box(rows: Columns) -> NDArray[np.intp]:
    """The box [n] of each row, numbered by first appearance; frames are told apart."""
    return _equal(*_frame_and_box(rows))


def first_rows(person: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first row of each person, in the order of their numbers."""
    first = np.zeros(person.max(initial=-1) + 1, np.intp)
    # Of values set at one index the last stays, so from the back it is the first row.
    first[person[::-1]] = np.arange(len(person))[::-1]
    return first


def _frame_and_box(rows: Columns) -> tuple[NDArray[np.int64], ...]:
    """Four columns of whole numbers that are equal where video, time and box are."""
    corners = np.ascontiguousarray(rows["box"]).view(np.int64)
    return rows["video"], milliseconds(rows["time"]), corners[:, 0], corners[:, 1]


def _equal(*columns: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Numbers [n], equal where all columns are, counted up by first appearance."""
    import pandas as pd

    if not len(columns[0]):
        return np.zeros(0, np.intp)
    # Rows of one person mostly follow each other: only the first of such a run is looked up.
    starts = np.ones(len(columns[0]), bool)
    starts[1:] = np.any([column[1:] != column[:-1] for column in columns], 0)
    codes = np.zeros(int(starts.sum()), np.int64)
    for column in columns:
        part = pd.factorize(column[starts])[0]
        codes = pd.factorize(codes * (part.max() + 1) + part)[0]
    return np.asarray(codes[np.cumsum(starts) - 1], np.intp)
