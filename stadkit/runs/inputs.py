"""What users name as input -> video files, each once, each with a name of its own."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stadkit.errors import UsageError
from stadkit.video.check import EXTENSIONS

LONGEST = 200  # bytes of a name; file systems allow 255, and extensions come on top


@dataclass(frozen=True)
class Input:
    """A file to look at; `name` is what its outputs are called, unlike any other's."""

    name: str
    path: Path


def gather(named: Iterable[str]) -> list[Input]:
    """Files, folders (searched to the bottom), globs and .txt lists -> inputs, in order.

    A file that comes twice is taken once. One that does not exist stays in: what is wrong
    with it is reported beside what could be done. Raises UsageError where a folder, glob or
    list holds no video.
    """
    paths: dict[str, Path] = {}
    for text in named:
        for path in _expand(text):
            paths.setdefault(os.path.realpath(path), path)
    return list(_with_names(paths.values()))


def _expand(text: str) -> list[Path]:
    path = Path(text)
    if path.is_dir():
        return _from_folder(path)
    if path.exists() or path.is_symlink():
        return _from_list(path) if path.suffix.lower() == ".txt" else [path]
    if glob.has_magic(text):
        found = [Path(name) for name in sorted(glob.glob(text, recursive=True))]
        return _some([path for path in found if not path.is_dir()], f"nothing matches {text}")
    return [path]


def _from_folder(folder: Path) -> list[Path]:
    inside = sorted(folder.rglob("*"))
    found = [path for path in inside if path.suffix.lower() in EXTENSIONS and path.is_file()]
    return _some(found, f"{folder}: no video in this folder ({' '.join(EXTENSIONS)})")


def _from_list(path: Path) -> list[Path]:
    """One path a line, from the list's own folder on; blank lines and `#` lines are skipped."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path}: cannot be read as a list of paths, one a line") from None
    kept = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return _some([path.parent / line for line in kept], f"{path}: names no video")


def _some(paths: list[Path], otherwise: str) -> list[Path]:
    if not paths:
        raise UsageError(otherwise)
    return paths


def _with_names(paths: Iterable[Path]) -> Iterator[Input]:
    taken: set[str] = set()
    for path in paths:
        name = plain(path.stem)
        number = 2
        # Compared without case: on some file systems a.csv and A.csv are one file.
        while name.casefold() in taken:
            name = f"{plain(path.stem)}-{number}"
            number += 1
        taken.add(name.casefold())
        yield Input(name, path)


def plain(stem: str) -> str:
    """A stem that any file system, CSV and log takes: no control characters, not too long."""
    text = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "_", stem)
    raw = text.encode()
    if len(raw) <= LONGEST:
        return text
    return f"{raw[:LONGEST].decode('utf-8', 'ignore')}-{hashlib.sha256(raw).hexdigest()[:8]}"
