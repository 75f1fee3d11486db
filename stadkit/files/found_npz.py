"""Detections as NumPy's own file: every float as it is, small, and read at once.

For what is kept between two runs of one command; users get AVA CSV and JSON lines.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from uuid import uuid4

import numpy as np

from stadkit.detections import Detections, Keyframes
from stadkit.errors import AnnotationError, StadkitError

COLUMNS = ("video", "time", "box", "person", "action", "track")


def write_found_npz(table: Detections, keyframes: Keyframes, path: str | Path) -> None:
    """Write a table and the keyframes looked at; the same give the same bytes.

    The file is whole or not there. Raises StadkitError where the place cannot be written to.
    """
    path = Path(path)
    arrays = {name: getattr(table, name) for name in COLUMNS}
    arrays["classes"] = np.array(table.classes, np.str_)
    arrays |= {"looked_video": keyframes.video, "looked_time": keyframes.time}
    unfinished = path.with_name(f".{uuid4().hex}")
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        os.replace(unfinished, path)
    except OSError as error:
        raise StadkitError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        unfinished.unlink(missing_ok=True)


def read_found_npz(path: str | Path) -> tuple[Detections, Keyframes]:
    """What `write_found_npz` wrote; raises AnnotationError for any other file."""
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as held:
            table = Detections(
                **{name: held[name] for name in COLUMNS},
                classes=tuple(held["classes"].tolist()),
            )
            return table, Keyframes(held["looked_video"], held["looked_time"])
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise AnnotationError(
            f"{path}: is not what stadkit kept of a video ({error}); remove it and run again"
        ) from error
