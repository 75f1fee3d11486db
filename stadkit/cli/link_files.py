"""Which files FOUND is: those with rows, and those beside that explain them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from stadkit.cli.beside import LABELS, is_lines, is_table, lines_beside, stem

MANIFEST = "manifest.json"


def row_files(path: Path) -> list[Path]:
    """The files to read of a path: of a folder its .jsonl, and each .csv that has none beside.

    Raises AnnotationError for a folder with neither.
    """
    from stadkit.files.ava_rows import csv_files

    if not path.is_dir():
        return [path]
    lines = sorted(file for file in path.iterdir() if is_lines(file))
    if lines and not any(is_table(file) for file in path.iterdir()):
        return lines
    said = {stem(file) for file in lines}
    tables = [file for file in csv_files(path) if stem(file) not in said]
    return sorted([*lines, *tables], key=stem)


def input_files(paths: Sequence[Path], *named: Path | None) -> Iterator[Path]:
    """Every file that linking these paths reads, and what in their folders says the same.

    `named` are further inputs, of --labels and --truth.
    """
    for path in paths:
        folder = path if path.is_dir() else path.parent
        yield from _rows_and_pickles(path) if path.is_dir() else (path, *lines_beside(path))
        yield from (folder / LABELS, folder / MANIFEST)
    yield from (path for path in named if path is not None)


def _rows_and_pickles(folder: Path) -> Iterator[Path]:
    yield from (file for file in folder.iterdir() if is_lines(file) or is_table(file))
    yield from folder.rglob("*.pkl")
