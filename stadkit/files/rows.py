"""Read rows of a CSV file without a header as columns, and locate faults; write text files."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from stadkit.atomic import replacing
from stadkit.errors import AnnotationError, StadkitError
from stadkit.files.columns import first_row, parse_columns
from stadkit.files.fields import Column

Layouts = Mapping[int, tuple[Column, ...]]  # by column count


def read_rows(path: Path, layouts: Layouts) -> dict[str, NDArray[Any] | list[str]]:
    """Read the columns of a .csv or .csv.gz by name; the first line's width selects the layout.

    A column of `text` is returned as codes [n] under its name, and as the decoded texts under
    "NAME texts". A file without rows gives the empty columns of the widest layout.
    Raises AnnotationError, one line: file, line, column, reason, and the number of invalid rows.
    """
    data = read_bytes(path)
    first = first_row(data)
    width = len(first) if first is not None else max(layouts)
    if first is not None and _first_fault(first, layouts):
        raise _explain(path, data, layouts)
    try:
        return parse_columns(data, layouts[width])
    except ValueError as error:
        # Locating the line takes a slow second pass, which only invalid files need.
        raise _explain(path, data, layouts, str(error)) from error


def read_bytes(path: Path) -> bytes:
    """Read a file: decompress gzip, strip the byte-order mark, normalize line ends to \\n."""
    if not path.is_file():
        reason = "is not a file" if path.exists() else "does not exist"
        raise AnnotationError(f"{path}: {reason}; name a .csv or .csv.gz file")
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise AnnotationError(f"{path}: cannot be read ({error}); copy the file again") from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise AnnotationError(f"{path}: is UTF-16 text; save it as UTF-8")
    if b"\r" in data:  # pandas drops fields after a lone \r
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.removeprefix(b"\xef\xbb\xbf")


def line_numbers(path: Path, rows: NDArray[np.integer]) -> NDArray[np.int64]:
    """Map rows [k] (from 0) of a file to line numbers [k] (from 1), which include blank lines."""
    data = np.frombuffer(read_bytes(path), np.uint8)
    start = np.concatenate([[0], np.flatnonzero(data == ord("\n")) + 1])
    start = start[start < len(data)]
    end = np.append(start[1:], len(data))
    filled = np.ones(len(start), bool)
    for line in np.flatnonzero(np.isin(data[start], [ord(c) for c in " \t\n"])):
        filled[line] = bool(data[start[line] : end[line]].tobytes().strip())
    return np.asarray(np.flatnonzero(filled)[rows] + 1, np.int64)


def write_text(path: Path, blocks: Iterable[str]) -> None:
    """Write blocks of text atomically, gzipped for a name in .gz.

    Raises StadkitError when the path is not writable.
    """
    try:
        with (
            replacing(path) as part,
            part.open("wb") as file,
            _compressed(file, path) as out,
        ):
            for block in blocks:
                out.write(block.encode())
    except OSError as error:
        raise StadkitError(f"{path}: cannot be written ({error.strerror})") from error


def _compressed(file: IO[bytes], path: Path) -> AbstractContextManager[IO[bytes]]:
    if path.suffix != ".gz":
        return nullcontext(file)
    # No name or time in the gzip header, so the same table gives the same bytes.
    return cast(AbstractContextManager[IO[bytes]], gzip.GzipFile("", "wb", fileobj=file, mtime=0))


def quoted(field: str) -> str:
    """Quote a CSV field where necessary."""
    if any(mark in field for mark in ',"\r\n') or field.startswith("\ufeff"):
        return '"' + field.replace('"', '""') + '"'
    return field


def _explain(path: Path, data: bytes, layouts: Layouts, hint: str = "") -> AnnotationError:
    """Build an error of the first fault in a file and the number of invalid lines."""
    faults = _faults(data, layouts)
    first = next(faults, None)
    if first is None:
        return AnnotationError(f"{path}: cannot be read as CSV ({hint})")
    more = sum(1 for _ in faults)
    count = f" ({more + 1} invalid lines)" if more else ""
    return AnnotationError(f"{path}:{first[0]}: {first[1]}{count}")


def _faults(data: bytes, layouts: Layouts) -> Iterator[tuple[int, str]]:
    """Yield (line, reason) for each invalid line."""
    try:
        raw = [f"{line}\n" for line in data.decode().split("\n")]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield line, "is not UTF-8 text; save the file as UTF-8"
        return
    lines = csv.reader(raw, strict=True)
    width, line = 0, 1
    try:
        for row in lines:
            if raw[lines.line_num - 1].strip():
                fault = _row_fault(row, layouts[width]) if width else _first_fault(row, layouts)
                if fault:
                    yield line, fault
                if len(row) not in layouts and not width:
                    return
                width = width or len(row)
            line = lines.line_num + 1
    except csv.Error as error:
        yield line, f"{error}; check for an unclosed quote"


def _first_fault(row: list[str], layouts: Layouts) -> str:
    """Return the fault of the first line, which usually applies to the whole file."""
    fault = _row_fault(row, layouts[len(row)]) if len(row) in layouts else "its width"
    if not fault:
        return ""
    for mark, name in ((";", "';'"), ("\t", "tabs")):
        if ",".join(row).count(mark) + 1 in layouts:
            return f"fields are separated by {name}; wants commas, and decimal points"
    if len(row) > 1 and all(re.fullmatch(r"\s*[A-Za-z_][\w .]*", f) for f in row[1:]):
        return "looks like a header, which these files do not have; remove the line"
    if len(row) in layouts:
        return fault
    if len(row) >= max(layouts) + 4 and all(field.strip().isdigit() for field in row[2:10]):
        return f"has {len(row)} columns and seems to use decimal commas; write decimal points"
    *widths, last = map(str, sorted(layouts))
    wanted = f"{', '.join(widths)} or {last}" if widths else last
    names = ", ".join(column.name for column in layouts[max(layouts)])
    return f"has {_columns(len(row))}, wants {wanted}: {names}"


def _columns(count: int) -> str:
    return f"{count} column" + "s" * (count != 1)


def _row_fault(row: list[str], layout: tuple[Column, ...]) -> str:
    if len(row) != len(layout):
        return f"has {_columns(len(row))}, but the first line has {len(layout)}"
    for column, field in zip(layout, row, strict=True):
        try:
            column.parse(field)
        except ValueError as error:
            return f"{column.name}: {error}"
    return ""
