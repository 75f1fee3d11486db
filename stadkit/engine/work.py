"""A piece of work, and what came of it: what goes to a worker and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from stadkit.detect import Found, Options
from stadkit.errors import StadkitError

T = TypeVar("T")


@dataclass(frozen=True)
class Work:
    """A video to look at, or some of its keyframes."""

    path: Path
    options: Options


@dataclass(frozen=True)
class Looked:
    """What was found, or the error that a user can act on; `seconds` is how long it took."""

    found: Found | None
    error: StadkitError | OSError | None
    seconds: float
    batch: int | None = None  # clips at once, the fewest; None: as this process has it

    def result(self) -> Found:
        """What was found; raises the error where there is one."""
        if self.found is None:
            raise self.error or StadkitError("nothing came back")
        return self.found


def look(find: Callable[[], Found]) -> Looked:
    """Look, and keep an error that a user can act on for later; a bug is raised."""
    started = time.perf_counter()
    try:
        found, error = find(), None
    except BrokenPipeError:
        raise
    except (StadkitError, OSError) as failure:
        found, error = None, failure
    return Looked(found, error, time.perf_counter() - started)


def look_here(tasks: Iterable[T], find: Callable[[T], Found]) -> Iterator[tuple[T, Looked]]:
    """Each task in turn in this process; the next one is taken when it is wanted."""
    for task in tasks:
        yield task, look(partial(find, task))
