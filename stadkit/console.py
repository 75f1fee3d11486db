"""The one console: words and progress go to stderr, so that stdout is data."""

import json
from typing import Any

from rich.console import Console

# Neither markup nor wrapping: file names hold brackets, and logs are read by grep.
console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def one_line(error: Exception) -> str:
    """What a user reads of an error; of the system's, the reason and the file."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


def write_json(value: Any) -> None:
    """A value as one line of JSON on stdout; NaN, which JSON does not know, raises ValueError."""
    print(json.dumps(value, allow_nan=False), flush=True)
