"""Parse CSV text into columns with pandas, in pieces on several threads."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stadkit.files.fields import Column, seconds, text

if TYPE_CHECKING:
    import pandas as pd

Layout = tuple[Column, ...]
Codes = tuple[NDArray[np.signedinteger], list[str]]  # codes [n], and the texts they index

_PIECE = 4_000_000  # bytes; with larger pieces, threads idle while the last one finishes
_MAX_THREADS = 8


def parse_columns(data: bytes, layout: Layout) -> dict[str, NDArray[Any] | list[str]]:
    """Parse all columns; a `text` column gives codes [n], and its texts as "NAME texts".

    Numbers are the nearest float64 to their decimals.
    Raises ValueError when a row or field does not fit the layout.
    """
    if b"\0" in data:
        raise ValueError("NUL bytes")

    def parse(piece: slice) -> list[Any]:
        return _parse_piece(data[piece], layout)  # copied within the thread

    pieces = list(_pieces(data))
    with ThreadPoolExecutor(min(len(pieces), os.cpu_count() or 1, _MAX_THREADS)) as threads:
        parts = list(threads.map(parse, pieces))
    columns: dict[str, NDArray[Any] | list[str]] = {}
    for column, values in zip(layout, zip(*parts, strict=True), strict=True):
        if column.floats:
            columns[column.name] = _check_range(np.concatenate(values), column)
            continue
        codes, texts = _join_codes(values)
        parsed = [column.parse(field) for field in texts]
        if column.parse is text:
            columns |= {column.name: codes, f"{column.name} texts": parsed}
        else:
            dtype = np.float64 if column.parse is seconds else np.int64
            columns[column.name] = np.array(parsed, dtype)[codes]
    return columns


def first_row(data: bytes) -> list[str] | None:
    """Return the fields of the first non-blank line; None for a file without rows."""
    first = re.search(rb"[^\r\n]*[^\s][^\r\n]*", data)
    try:
        return next(csv.reader([first[0].decode("utf-8", "replace")])) if first else None
    except csv.Error:  # a field longer than any id
        return []


def _pieces(data: bytes) -> Iterator[slice]:
    """Split the file at line ends, which fields may not contain, even quoted."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + _PIECE) + 1 or len(data)
        yield slice(start, end)
        start = end
    if not data:
        yield slice(0)


def _parse_piece(data: bytes, layout: Layout) -> list[Any]:
    """Parse the columns of some lines: floats [n], or codes and texts."""
    first = first_row(data)
    # pandas truncates a first line that is too long, with only a warning.
    if first is not None and len(first) != len(layout):
        raise ValueError(f"a row has {len(first)} fields, but the first has {len(layout)}")
    try:
        table = _read_csv(data, layout, np.float64)
    except ValueError:
        if not any(column.free for column in layout):
            raise
        table = _read_csv(data, layout, object)  # pandas' float parser rejects NaN here
    return [_values(table.pop(column.name), column) for column in layout]


def _read_csv(data: bytes, layout: Layout, number: type) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(
        io.BytesIO(data),
        header=None,
        names=[column.name for column in layout],
        # `object` keeps '007' and 'NA' unchanged; `category` would convert them to numbers.
        dtype={column.name: number if column.floats else object for column in layout},
        na_filter=False,
        index_col=False,
        engine="c",
        low_memory=False,
    )


def _values(values: pd.Series[Any], column: Column) -> NDArray[np.float64] | Codes:
    import pandas as pd

    if values.dtype == np.float64:
        return values.to_numpy()
    codes, texts = pd.factorize(values)
    if not column.floats:
        return codes, list(texts)
    return np.array([column.parse(field) for field in texts], np.float64)[codes]


def _join_codes(parts: Iterable[Codes]) -> Codes:
    """Concatenate the pieces' codes over one common list of texts."""
    code: dict[str, int] = {}
    columns = []
    for codes, texts in parts:
        number = [code.setdefault(field, len(code)) for field in texts]
        columns.append(np.array(number, np.int32)[codes])
    return np.concatenate(columns), list(code)


def _check_range(values: NDArray[np.float64], column: Column) -> NDArray[np.float64]:
    # Negated so that NaN fails too.
    if not (column.free or ((values >= column.low) & (values <= column.high)).all()):
        raise ValueError(f"{column.name} is outside {column.low:g}..{column.high:g}")
    return values
