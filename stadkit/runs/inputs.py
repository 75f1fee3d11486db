"""Input arguments -> video files without duplicates, each with a unique name."""

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

MAX_NAME_BYTES = 200  # file systems allow 255, and extensions are added


@dataclass(frozen=True)
class Input:
    """A file to process; `name`: the unique stem of its outputs."""

    name: str
    path: Path


def gather(named: Iterable[str]) -> list[Input]:
    """Expand files, folders (recursively), globs and .txt lists to inputs, in order.

    Duplicates are dropped. Missing files are kept, to be reported with the results of the others.
    Raises UsageError for a folder, glob or list without videos.
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
        return _require([path for path in found if not path.is_dir()], f"{text}: matches no file")
    return [path]


def _from_folder(folder: Path) -> list[Path]:
    inside = sorted(folder.rglob("*"))
    found = [path for path in inside if path.suffix.lower() in EXTENSIONS and path.is_file()]
    return _require(found, f"{folder}: no video in this folder ({' '.join(EXTENSIONS)})")


def _from_list(path: Path) -> list[Path]:
    """One path per line, relative to the list's folder; blank and `#` lines are skipped."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path}: cannot be read as a list of paths, one per line") from None
    kept = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return _require([path.parent / line for line in kept], f"{path}: names no video")


def _require(paths: list[Path], error: str) -> list[Path]:
    if not paths:
        raise UsageError(error)
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
    """Make a stem safe for file systems, CSV and logs: no control characters, limited length."""
    text = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "_", stem)
    raw = text.encode()
    if len(raw) <= MAX_NAME_BYTES:
        return text
    return f"{raw[:MAX_NAME_BYTES].decode('utf-8', 'ignore')}-{hashlib.sha256(raw).hexdigest()[:8]}"
