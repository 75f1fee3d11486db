"""Workers, each a process with the model in memory, their tasks and their results."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from stadkit.detection import DetectOptions, Detector, VideoDetections, detect_video, load
from stadkit.detection.two_stage import with_boxes
from stadkit.errors import StadkitError, WeightsError

T = TypeVar("T")


@dataclass(frozen=True)
class VideoTask:
    """A video to process, or a range of its keyframes."""

    path: Path
    options: DetectOptions


@dataclass(frozen=True)
class TaskResult:
    """The detections, or an error that the user can act on; `seconds`: time taken."""

    found: VideoDetections | None
    error: StadkitError | OSError | None
    seconds: float
    batch: int | None = None  # clips per pass, the smallest used; None: this process's

    def result(self) -> VideoDetections:
        """The detections; raises the error if there is one."""
        if self.found is None:
            raise self.error or StadkitError("the worker returned nothing")
        return self.found


def run_task(find: Callable[[], VideoDetections]) -> TaskResult:
    """Call `find`; errors that a user can act on are returned, bugs are raised."""
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
    """The settings that every worker starts from."""

    model: str  # as `load` takes it
    sha256: str  # of its weights
    device: str
    precision: str
    folder: str  # base of relative paths
    threads: int  # CPU threads; 0: the worker's share
    people: str = ""  # person detector of a two-stage model
    people_sha256: str = ""


def _check(name: str, detector: Detector, sha256: str) -> None:
    """Raises WeightsError if the weights differ from those on the driver's machine."""
    if detector.sha256 != sha256:
        raise WeightsError(
            f"{name}: weights on {socket.gethostname()} differ from those here; copy these there"
        )


class Worker:
    """Loads the model once, then processes one task after another."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._detector: Detector | None = None

    def ready(self, threads: int) -> tuple[str, StadkitError | OSError | None]:
        """Load the model; returns (host:process, the error if it cannot work)."""
        name = f"{socket.gethostname()}:{os.getpid()}"
        try:
            self._load(threads)
        except (StadkitError, OSError) as error:
            return name, error
        return name, None

    def _load(self, threads: int) -> None:
        import torch

        config = self._config
        torch.set_num_threads(threads)
        try:
            os.chdir(config.folder)
        except OSError as error:
            raise StadkitError(
                f"{config.folder}: cannot be opened on {socket.gethostname()} ({error.strerror}); "
                "workers need the same paths as this machine"
            ) from error
        detector = load(config.model, config.device, config.precision)
        _check(config.model, detector, config.sha256)
        # That there are proposals was checked before the workers were started.
        proposals = not config.people
        detector = with_boxes(detector, config.people, proposals, config.device, config.precision)
        if detector.person_detector is not None:
            _check(config.people, detector.person_detector, config.people_sha256)
        self._detector = detector

    def run(self, task: VideoTask) -> TaskResult:
        """The detections of the video, or the error."""
        assert self._detector is not None  # `ready` came first
        result = run_task(partial(detect_video, self._detector, task.path, task.options))
        # After running out of memory the detector continues with smaller batches.
        batch = self._detector.max_clips or self._detector.batch(task.options)
        return TaskResult(result.found, result.error, result.seconds, batch)
