"""Whether weights may and can come: offline mode, and room on the disk."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

from stadkit.errors import WeightsError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_space(folder: Path, size: int, here: int = 0) -> None:
    """Raise WeightsError where a file of `size` bytes, 0 for unknown, will not find room.

    here: bytes of it that came before. It needs room twice: the weights made of it lie beside it
    before it goes.
    """
    free = shutil.disk_usage(folder).free
    if size and 2 * size - here > free:
        raise WeightsError(
            f"{folder}: the disk is too full ({(size - here) / 1e6:.0f} MB to come and "
            f"{size / 1e6:.0f} MB to import them, {free / 1e6:.0f} MB free); free some space, or "
            "set STADKIT_HOME to another disk"
        )


def not_written(folder: Path, error: OSError) -> WeightsError:
    """What the disk said of a download, in one line."""
    way = "free some space" if error.errno in FULL else "mend that"
    return WeightsError(
        f"{folder}: {(error.strerror or str(error)).lower()}; {way}, or set STADKIT_HOME to a "
        "folder elsewhere, and pull again"
    )


def go_offline() -> None:
    """No network from now on, in this process and in those that it starts."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    # The Hub's client reads the variable once, as it is imported.
    if known := sys.modules.get("huggingface_hub.constants"):
        known.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def is_offline() -> bool:
    """Whether the network is not to be used."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def refuse_offline(what: str, hand: str = "") -> None:
    """Raise WeightsError where the network is not to be used; hand: what the user can do else."""
    if is_offline():
        raise WeightsError(
            f"{what}: offline mode is on (--offline or HF_HUB_OFFLINE); unset it to download"
            + (f", {hand}" if hand else "")
        )
