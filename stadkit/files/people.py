"""Group the rows of a file of boxes by person."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import milliseconds

# By name, each [n]: video (codes), time (s), box float32 [n, 4], action, person (truth) ...
Columns = dict[str, Any]


def people(rows: Columns) -> NDArray[np.intp]:
    """Number the person [n] of each row by first appearance.

    Rows of one video, time (to a millisecond), box and person id are one person with each action
    at most once: a second row of the same action belongs to a second person.
    """
    import pandas as pd

    tracks = [rows["person"]] if "person" in rows else []
    person = _group_numbers(*_frame_and_box(rows), *tracks)
    person_action = person * (rows["action"].max(initial=0) + 2) + rows["action"] + 1
    if not pd.Series(person_action).duplicated().any():
        return person
    repeat = pd.Series(person_action).groupby(person_action).cumcount().to_numpy()
    return _group_numbers(person, repeat)


def same_box(rows: Columns) -> NDArray[np.intp]:
    """Number the box [n] of each row by first appearance; boxes of different frames differ."""
    return _group_numbers(*_frame_and_box(rows))


def first_rows(person: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the first row of each person, in the order of their numbers."""
    first = np.zeros(person.max(initial=-1) + 1, np.intp)
    # The last write to an index wins, so writing in reverse keeps the first row.
    first[person[::-1]] = np.arange(len(person))[::-1]
    return first


def _frame_and_box(rows: Columns) -> tuple[NDArray[np.int64], ...]:
    """Return four integer columns that are equal where video, time and box are."""
    corners = np.ascontiguousarray(rows["box"]).view(np.int64)
    return rows["video"], milliseconds(rows["time"]), corners[:, 0], corners[:, 1]


def _group_numbers(*columns: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Number rows [n] by first appearance; equal where all columns are equal."""
    import pandas as pd

    if not len(columns[0]):
        return np.zeros(0, np.intp)
    # Rows of one person are mostly adjacent: only the first of each run is looked up.
    starts = np.ones(len(columns[0]), bool)
    starts[1:] = np.any([column[1:] != column[:-1] for column in columns], 0)
    codes = np.zeros(int(starts.sum()), np.int64)
    for column in columns:
        part = pd.factorize(column[starts])[0]
        codes = pd.factorize(codes * (part.max() + 1) + part)[0]
    return np.asarray(codes[np.cumsum(starts) - 1], np.intp)
