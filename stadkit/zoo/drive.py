"""Download a file from Google Drive with gdown, and check it as far as possible.

Google publishes neither size nor checksum of a shared file. A torch checkpoint, however, is a zip
archive, which ends with its directory and holds a checksum of each member.
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

QUOTA_WORDS = ("quota", "too many users", "many accesses")


def fetch(drive_id: str, name: str, folder: Path, size: int = 0, again: bool = False) -> Path:
    """Download the file with this Drive id into `folder`; `name` is the model's, for messages.

    gdown writes to a temporary name, resumes from it, and renames at the end. size: bytes, 0 for
    unknown. again: delete earlier downloads of the file first.

    Raises WeightsError where gdown is missing or Drive refuses the file. A web page or a partial
    file in its place raises it, too, and is deleted.
    """
    by_hand = (
        f"or download {drive_page(drive_id)} in a browser, then `stadkit models import FILE "
        f"--as {name}`"
    )
    refuse_offline(name, by_hand)
    gdown = _gdown(name, by_hand)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / drive_id
    for old in folder.glob(f"{drive_id}*") if again else ():
        old.unlink()
    check_space(folder, size, sum(old.stat().st_size for old in folder.glob(f"{drive_id}*")))
    try:
        quiet = not sys.stderr.isatty()
        result = gdown.download(id=drive_id, output=os.fspath(path), quiet=quiet, resume=True)
    except Exception as error:
        raise WeightsError(f"{drive_page(drive_id)}: {_reason(error)}; {by_hand}") from error
    if result is None:  # gdown 5 only prints the reason
        raise WeightsError(
            f"{drive_page(drive_id)}: gdown returned no file; delete {path}*.part and pull again, "
            f"{by_hand}"
        )
    try:
        _check(path, size)
    except WeightsError as error:
        path.unlink(missing_ok=True)
        raise WeightsError(f"{error}; deleted: pull again, {by_hand}") from None
    return path


def _gdown(name: str, by_hand: str) -> ModuleType:
    try:
        import gdown
    except ImportError:
        raise WeightsError(
            f"{name} is on Google Drive, and gdown, which downloads from there, is not installed: "
            f"`pip install 'gdown>=5'`, {by_hand}"
        ) from None
    module: ModuleType = gdown
    return module


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if any(word in text.lower() for word in QUOTA_WORDS):
        return "its Google Drive quota is used up or it is no longer shared; try again in a day"
    return f"gdown could not download it ({text[:200]}); pull again to resume"


def _check(path: Path, size: int) -> None:
    received = path.stat().st_size
    if sniff(path) == "zip":
        check_parts(path)
    if size and received != size:
        raise WeightsError(f"{path}: received {received} of {size} bytes")
