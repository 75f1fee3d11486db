"""A file of Google Drive, fetched by gdown where that is installed, and checked as far as it goes.

Google tells neither size nor checksum of a shared file; a checkpoint is a zip archive though,
which ends with its table of contents and has a checksum of each of its parts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

from stadkit.errors import WeightsError
from stadkit.zoo.checkpoint import check_parts, sniff
from stadkit.zoo.storage import check_space, refuse_offline
from stadkit.zoo.weights import drive_page

FAULTS = ("quota", "too many users", "many accesses")


def fetch(drive_id: str, name: str, folder: Path, size: int = 0, again: bool = False) -> Path:
    """The file of this Drive id, in `folder`; `name` is the model's, for what is said.

    gdown writes to a temporary name there, goes on from it after a break, and renames at the end.
    size: bytes, 0 for unknown. again: from the start, what is here of the file goes.

    Raises WeightsError where gdown is missing, where Drive does not give the file, and for a page
    or half a file in its place, which is deleted then.
    """
    hand = (
        f"or download {drive_page(drive_id)} in a browser, then `stadkit models import FILE "
        f"--as {name}`"
    )
    refuse_offline(name, hand)
    gdown = _gdown(name, hand)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / drive_id
    for old in folder.glob(f"{drive_id}*") if again else ():
        old.unlink()
    check_space(folder, size, sum(old.stat().st_size for old in folder.glob(f"{drive_id}*")))
    try:
        quiet = not sys.stderr.isatty()
        came = gdown.download(id=drive_id, output=os.fspath(path), quiet=quiet, resume=True)
    except Exception as error:
        raise WeightsError(f"{drive_page(drive_id)}: {_reason(error)}; {hand}") from error
    if came is None:  # gdown 5 only prints why
        raise WeightsError(
            f"{drive_page(drive_id)}: gdown gave no file; delete {path}*.part and pull again, "
            f"{hand}"
        )
    try:
        _check(path, size)
    except WeightsError as error:
        path.unlink(missing_ok=True)
        raise WeightsError(f"{error}; deleted: pull again, {hand}") from None
    return path


def _gdown(name: str, hand: str) -> ModuleType:
    try:
        import gdown
    except ImportError:
        raise WeightsError(
            f"{name} lies on Google Drive, and gdown, which fetches from there, is not installed: "
            f"`pip install 'gdown>=5'`, {hand}"
        ) from None
    found: ModuleType = gdown
    return found


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if any(fault in text.lower() for fault in FAULTS):
        return "Google's quota for this file is used up or it is no longer shared; try in a day"
    return f"gdown could not fetch it ({text[:200]}); pull again to go on"


def _check(path: Path, size: int) -> None:
    here = path.stat().st_size
    if sniff(path) == "zip":
        check_parts(path)
    if size and here != size:
        raise WeightsError(f"{path}: {here} bytes came of {size}")
