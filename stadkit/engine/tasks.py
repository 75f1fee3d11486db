"""A piece of work, and what came of it: what goes to a worker and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from stadkit.detect import Options, VideoDetections
from stadkit.errors import StadkitError

T = TypeVar("T")


@dataclass(frozen=True)
class VideoTask:
    """A video to look at, or some of its keyframes."""

    path: Path
    options: Options


@dataclass(frozen=True)
class TaskResult:
    """What was found, or the error that a user can act on; `seconds` is how long it took."""

    found: VideoDetections | None
    error: StadkitError | OSError | None
    seconds: float
    batch: int | None = None  # clips at once, the fewest; None: as this process has it

    def result(self) -> VideoDetections:
        """What was found; raises the error where there is one."""
        if self.found is None:
            raise self.error or StadkitError("nothing came back")
        return self.found


def look(find: Callable[[], VideoDetections]) -> TaskResult:
    """Look, and keep an error that a user can act on for later; a bug is raised."""
    started = time.perf_counter()
    try:
        found, error = find(), None
    except BrokenPipeError:
        raise
    except (StadkitError, OSError) as failure:
        found, error = None, failure
    return TaskResult(found, error, time.perf_counter() - started)


def look_here(
    tasks: Iterable[T], find: Callable[[T], VideoDetections]
) -> Iterator[tuple[T, TaskResult]]:
    """Each task in turn in this process; the next one is taken when it is wanted."""
    for task in tasks:
        yield task, look(partial(find, task))
