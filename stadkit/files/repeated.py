"""Rows that say again what a row before them said: a file or a line that is there twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stadkit.claims import Claims

_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads what it multiplies


def repeated(claims: Claims) -> NDArray[np.intp]:
    """The rows [k] whose video, time, box and action a row before them has, the score aside.

    Rows without a class are not looked at: they may stand for several actions.
    """
    rows = np.flatnonzero(claims.label >= 0)
    key = _key(claims, rows)
    ordered = np.sort(key)  # much faster than the order of the rows, which is mostly not needed
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return np.zeros(0, np.intp)
    rows = rows[np.isin(key, twice)]
    columns = (claims.video, claims.time, *claims.box.T, claims.label)
    order = np.lexsort([rows, *(column[rows] for column in columns)])
    rows = rows[order]
    same = np.ones(max(len(rows) - 1, 0), bool)
    for column in columns:
        same &= column[rows][1:] == column[rows][:-1]
    return np.sort(rows[1:][same])


def _key(claims: Claims, rows: NDArray[np.intp]) -> NDArray[np.uint64]:
    """A number [n] for each row: equal rows have equal ones, others hardly ever do."""
    whole = len(rows) == len(claims)
    key = claims.video.astype(np.uint64) * np.uint64(len(claims.classes) + 1)
    key += claims.label.astype(np.uint64)
    for column in (claims.time, *claims.box.T):
        key *= _ODD
        # 0.0 makes -0 a 0: they are equal, and so must their bits be.
        key ^= (column + 0.0).view(np.uint64)
        key ^= key >> np.uint64(29)
    return key if whole else key[rows]
