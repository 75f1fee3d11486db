"""Peak memory use of this process, for `stadkit bench`."""

from __future__ import annotations

import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_gb() -> float:
    """Return this process's peak resident memory in GB (10^9 bytes)."""
    return peak() / 1e9


def peak() -> int:
    """Return this process's peak resident memory in bytes."""
    # On Linux `ru_maxrss` is inherited from the parent process, so VmHWM is read instead.
    if STATUS.is_file():
        lines = STATUS.read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    import resource  # not available on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
