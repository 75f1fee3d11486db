"""The shared console: messages and progress go to stderr, so stdout carries only data."""

import json
from typing import Any

from rich.console import Console

# No markup and no wrapping: file names contain brackets, and logs are searched with grep.
console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def one_line(error: Exception) -> str:
    """Format an error as one line; for OS errors, the file and the reason."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


def write_json(value: Any) -> None:
    """Print a value as one line of JSON on stdout; NaN, which JSON lacks, raises ValueError."""
    print(json.dumps(value, allow_nan=False), flush=True)
