"""Detections as .npz: lossless, small and fast to read.

Used for intermediate results between runs of one command; users get AVA CSV and JSON lines.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from stadkit.atomic import replacing
from stadkit.detections import Detections, Keyframes
from stadkit.errors import AnnotationError, StadkitError

COLUMNS = ("video", "time", "box", "person", "action", "track")


def write_found_npz(table: Detections, keyframes: Keyframes, path: str | Path) -> None:
    """Write a table and its processed keyframes; equal inputs give equal bytes.

    The write is atomic. Raises StadkitError when the path is not writable.
    """
    path = Path(path)
    arrays = {name: getattr(table, name) for name in COLUMNS}
    arrays["classes"] = np.array(table.classes, np.str_)
    arrays |= {"looked_video": keyframes.video, "looked_time": keyframes.time}
    try:
        with replacing(path) as part, part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise StadkitError(f"{path}: cannot be written ({error.strerror})") from error


def read_found_npz(path: str | Path) -> tuple[Detections, Keyframes]:
    """Read a file of `write_found_npz`; raises AnnotationError for any other file."""
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            table = Detections(
                **{name: arrays[name] for name in COLUMNS},
                classes=tuple(arrays["classes"].tolist()),
            )
            return table, Keyframes(arrays["looked_video"], arrays["looked_time"])
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise AnnotationError(
            f"{path}: not a stadkit intermediate file ({error}); remove it and run again"
        ) from error
