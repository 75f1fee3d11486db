"""Checks before a download: offline mode and free disk space."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

from stadkit.errors import WeightsError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_space(folder: Path, size: int, received: int = 0) -> None:
    """Raise WeightsError where the disk has no room for a file of `size` bytes (0: unknown).

    received: bytes downloaded before. Twice the size is needed: the imported weights are written
    before the download is deleted.
    """
    free = shutil.disk_usage(folder).free
    if size and 2 * size - received > free:
        raise WeightsError(
            f"{folder}: not enough disk space ({(size - received) / 1e6:.0f} MB to download and "
            f"{size / 1e6:.0f} MB to import, {free / 1e6:.0f} MB free); free some space, or "
            "set STADKIT_HOME to another disk"
        )


def not_written(folder: Path, error: OSError) -> WeightsError:
    """A disk error during a download as a one-line WeightsError."""
    way = "free some space" if error.errno in DISK_FULL else "fix that"
    return WeightsError(
        f"{folder}: {(error.strerror or str(error)).lower()}; {way}, or set STADKIT_HOME to a "
        "folder elsewhere, and pull again"
    )


def go_offline() -> None:
    """Disable the network in this process and its children."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    # The Hub's client reads the variable only once, at import.
    if constants := sys.modules.get("huggingface_hub.constants"):
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def is_offline() -> bool:
    """Whether offline mode is on."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def refuse_offline(what: str, by_hand: str = "") -> None:
    """Raise WeightsError in offline mode; by_hand: what the user can do instead."""
    if is_offline():
        raise WeightsError(
            f"{what}: offline mode is on (--offline or HF_HUB_OFFLINE); unset it to download"
            + (f", {by_hand}" if by_hand else "")
        )
