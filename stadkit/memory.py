"""How much memory this process has needed, for `stadkit bench`."""

from __future__ import annotations

import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_gb() -> float:
    """The most memory that this process has had; in GB of 10^9 bytes."""
    return peak() / 1e9


def peak() -> int:
    """The same in bytes."""
    # On Linux `ru_maxrss` begins with that of the process which started this one.
    if STATUS.is_file():
        lines = STATUS.read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
