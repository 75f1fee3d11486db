"""Workers, and what goes to one and comes back.

A piece of work, and what came of it: what goes to a worker and comes back.

What a worker is: a process with the model in memory that looks at what it is given.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from stadkit.detection import Detector, Options, VideoDetections, detect_video, load
from stadkit.detection.two_stage import with_boxes
from stadkit.errors import StadkitError, WeightsError

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


@dataclass(frozen=True)
class WorkerConfig:
    """What every worker starts from."""

    model: str  # as `load` takes it
    sha256: str  # of its weights
    device: str
    precision: str
    folder: str  # where relative paths start
    threads: int  # of the CPU; 0: its share
    people: str = ""  # the model that finds the people for a two-stage one
    people_sha256: str = ""


def _check(name: str, detector: Detector, sha256: str) -> None:
    """Raises WeightsError where these are other weights than on the machine that hands out."""
    if detector.sha256 != sha256:
        raise WeightsError(
            f"{name}: has other weights on {socket.gethostname()} than here; put the same there"
        )


class Worker:
    """Loads the model once, then looks at one piece of work after another."""

    def __init__(self, setup: WorkerConfig) -> None:
        self._setup = setup
        self._detector: Detector | None = None

    def ready(self, threads: int) -> tuple[str, StadkitError | OSError | None]:
        """(which machine and process this is, why it cannot work); loads the model."""
        name = f"{socket.gethostname()}:{os.getpid()}"
        try:
            self._load(threads)
        except (StadkitError, OSError) as error:
            return name, error
        return name, None

    def _load(self, threads: int) -> None:
        import torch

        setup = self._setup
        torch.set_num_threads(threads)
        try:
            os.chdir(setup.folder)
        except OSError as error:
            raise StadkitError(
                f"{setup.folder}: cannot be opened on {socket.gethostname()} ({error.strerror}); "
                "workers need the same paths as here"
            ) from error
        detector = load(setup.model, setup.device, setup.precision)
        _check(setup.model, detector, setup.sha256)
        # That there are boxes was checked before any worker was asked for.
        given = not setup.people
        detector = with_boxes(detector, setup.people, given, setup.device, setup.precision)
        if detector.person_detector is not None:
            _check(setup.people, detector.person_detector, setup.people_sha256)
        self._detector = detector

    def look(self, work: VideoTask) -> TaskResult:
        """What is in the video, or why that cannot be said."""
        assert self._detector is not None  # `ready` came first
        looked = look(partial(detect_video, self._detector, work.path, work.options))
        # Where memory was short, the detector goes on with fewer.
        batch = self._detector.most_clips or self._detector.batch(work.options)
        return TaskResult(looked.found, looked.error, looked.seconds, batch)
