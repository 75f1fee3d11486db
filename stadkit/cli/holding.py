"""One process at a time writes to a folder of results."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from stadkit.console import console
from stadkit.errors import StadkitError, UsageError

LOCK = ".stadkit.lock"  # in the folder, while somebody holds it

# The names that files have until they are whole, as a killed process leaves them.
UNFINISHED = re.compile(r"\.[0-9a-f]{32}(\.\w+)?|\.stadkit-[0-9a-f]{32}\.partial")


class Hold:
    """A lock on a folder; the system lifts it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None
        self._taken = False  # also where there are no locks

    def take(self) -> bool:
        """Hold the folder, if there is one; whether it was got just now.

        Raises UsageError where another process holds it, StadkitError where it cannot be written
        to.
        """
        if self._taken or not self._folder.is_dir():
            return False
        self._handle = _locked(self._folder)
        self._taken = True
        return True

    def clear(self) -> None:
        """Take away what killed runs left half-written, if nobody else can be at it."""
        if self._handle is None:
            return
        for path in list(self._folder.iterdir()):
            if UNFINISHED.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()

    def release(self) -> None:
        """Let others write there."""
        if self._handle is not None:
            with suppress(OSError):  # the next one can lock it as well
                (self._folder / LOCK).unlink()
            os.close(self._handle)
        self._handle, self._taken = None, False


def _locked(folder: Path) -> int | None:
    """A handle whose closing lifts the lock; None, which is told, where the file system has none.

    What is locked is a file open for writing: NFS locks no other.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    path = folder / LOCK
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StadkitError(f"{folder}: cannot be written to ({error.strerror})") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise UsageError(
                f"{folder}: another run is writing there now; wait for its end, or name another "
                "folder with --output"
            ) from None
        except OSError as error:
            os.close(handle)
            with suppress(OSError):
                path.unlink()
            console.print(
                f"{folder}: its file system has no locks ({error.strerror}); see to it that no "
                "other run writes there"
            )
            return None
        if _is_there(path, handle):
            return handle
        os.close(handle)  # whoever held it took the file away meanwhile


def _is_there(path: Path, handle: int) -> bool:
    """Whether the open file is the one of this path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False
