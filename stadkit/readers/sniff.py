"""Detect the format of a path, and find the files that belong to it.

`detect_format` goes by a file's name and first bytes; labels, processed keyframes and manifests are
found by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stadkit.errors import AnnotationError, UsageError
from stadkit.labels import Labels, ava, ava_scored, read_labels

if TYPE_CHECKING:
    from stadkit.detections import Keyframes

LABELS = "labels.txt"
TABLES, LINES = (".csv", ".csv.gz"), (".jsonl", ".jsonl.gz")
AVA = {"60": ava_scored, "80": ava}  # values of --labels that are not files
MANIFEST = "manifest.json"


def detect_format(path: Path) -> str:
    """The format of a path: csv, json, pickle or, for a folder as MOC writes, tubelets."""
    if path.is_dir():
        csv = any(is_csv(file) for file in path.iterdir())
        return "csv" if csv or not any(path.rglob("*.pkl")) else "tubelets"
    if not path.exists():
        raise AnnotationError(f"{path}: does not exist; give a file or folder")
    name = path.name.removesuffix(".gz")
    if is_jsonl(path):
        raise UsageError(f"{path}: holds keyframes as JSON lines; give the CSV beside it")
    if name.endswith((".csv", ".txt")):
        return "csv"
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(64).lstrip()
        if name.endswith((".pkl", ".pickle")) or start[:1] == b"\x80":
            return "pickle"
        if name.endswith(".json") or start[:1] == b"{":
            return "json"
    return "csv"


def read_labels_option(option: Path) -> Labels:
    """Read the label file that --labels names; "60" and "80" are AVA's lists."""
    name = str(option)
    return AVA[name]() if name in AVA and not option.exists() else read_labels(option)


def labels_beside(path: Path) -> Path | None:
    """The labels.txt in a folder, or beside a file, as `detect` and `synth` write it."""
    beside = (path if path.is_dir() else path.parent) / LABELS
    return beside if beside.is_file() else None


def keyframes_beside(path: Path) -> Keyframes | None:
    """The keyframes of the .jsonl or .jsonl.gz beside a CSV, or beside those of a folder.

    None without such a file.
    """
    from stadkit.detections import Keyframes
    from stadkit.files.ava_rows import csv_files
    from stadkit.files.jsonl import read_jsonl_keyframes

    parts = [
        read_jsonl_keyframes(lines) for file in csv_files(path) for lines in jsonl_beside(file)[:1]
    ]
    if not parts:
        return None
    return Keyframes(
        np.concatenate([part.video for part in parts]),
        np.concatenate([part.time for part in parts]),
    )


def jsonl_beside(table: Path) -> list[Path]:
    """The existing .jsonl and .jsonl.gz with a CSV's stem in its folder."""
    beside = [table.with_name(f"{stem(table)}{ending}") for ending in LINES]
    return [file for file in beside if file.is_file()]


def is_jsonl(path: Path) -> bool:
    """Whether the name is that of a JSON lines file."""
    return path.name.endswith(LINES)


def is_csv(path: Path) -> bool:
    """Whether the name is that of a CSV."""
    return path.name.endswith(TABLES)


def stem(path: Path) -> str:
    """The file name without .csv, .jsonl or .gz."""
    return path.name.removesuffix(".gz").removesuffix(".csv").removesuffix(".jsonl")


def row_files(path: Path) -> list[Path]:
    """The files to read: the path or, in a folder, each .jsonl and each .csv without one.

    Raises AnnotationError for a folder with neither.
    """
    from stadkit.files.ava_rows import csv_files

    if not path.is_dir():
        return [path]
    lines = sorted(file for file in path.iterdir() if is_jsonl(file))
    if lines and not any(is_csv(file) for file in path.iterdir()):
        return lines
    stems = {stem(file) for file in lines}
    tables = [file for file in csv_files(path) if stem(file) not in stems]
    return sorted([*lines, *tables], key=stem)


def input_files(paths: Sequence[Path], *named: Path | None) -> Iterator[Path]:
    """Every file that may be read for these paths, so that no output overwrites one.

    `named`: further inputs, such as --labels and --truth.
    """
    for path in paths:
        folder = path if path.is_dir() else path.parent
        yield from _rows_and_pickles(path) if path.is_dir() else (path, *jsonl_beside(path))
        yield from (folder / LABELS, folder / MANIFEST)
    yield from (path for path in named if path is not None)


def _rows_and_pickles(folder: Path) -> Iterator[Path]:
    yield from (file for file in folder.iterdir() if is_jsonl(file) or is_csv(file))
    yield from folder.rglob("*.pkl")
