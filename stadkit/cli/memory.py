"""How much memory this process has needed, for `stadkit bench`."""

from __future__ import annotations

import sys


def peak_gb() -> float:
    """The most memory that this process has had; in GB of 10^9 bytes."""
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
