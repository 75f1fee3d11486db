"""Several results that are all written, or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

from stadkit.errors import StadkitError


def write_together(writers: Mapping[Path, Callable[[Path], None]]) -> None:
    """Have each writer write its file; where one fails, every place is as it was.

    Folders are made. Raises what the writers raise, and StadkitError where a place cannot be
    written to.
    """
    for path in writers:
        path.parent.mkdir(parents=True, exist_ok=True)
    # With the ending of the result: .gz says how it is written.
    unfinished = {path: path.with_name(f".{uuid4().hex}{path.suffix}") for path in writers}
    try:
        for path, write in writers.items():
            _write(write, unfinished[path], path)
        for path, file in unfinished.items():
            os.replace(file, path)
    finally:
        for file in unfinished.values():
            file.unlink(missing_ok=True)


def _write(write: Callable[[Path], None], file: Path, path: Path) -> None:
    """Write a file under another name; errors name it as the user does."""
    try:
        write(file)
    except StadkitError as error:
        raise type(error)(str(error).replace(str(file), str(path))) from error
