"""Scheduling of tasks on workers, with retries when a worker is lost.

A task is only taken when a worker is free, so that few are in progress and little is held.

A long video is split into ranges of keyframes for several workers, whose results are joined. A
range is decoded from the start of the video, as readers never seek; earlier frames are not resized
or processed. Ranges are whole batches, so that the model gets the same batches as without
splitting and results are identical to the last bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from stadkit.detection import VideoDetections
from stadkit.detection.detector import explicit_times
from stadkit.detection.video import check_whole
from stadkit.detections import Detections, Keyframes
from stadkit.engine.worker import TaskResult, VideoTask
from stadkit.errors import StadkitError, VideoError
from stadkit.video.decode import probe
from stadkit.video.keys import ALL, FRAME

T = TypeVar("T")
MAX_TRIES = 3  # of a piece whose worker is lost
MIN_RANGE = 200  # keyframes; for shorter ranges decoding twice costs too much


class Pool(Protocol):
    """Workers, each of which runs one piece at a time."""

    @property
    def free(self) -> int:
        """The number of idle workers."""

    def submit(self, task: VideoTask) -> Any:
        """Start a task on an idle worker; returns the key under which it comes back."""

    def wait(self) -> list[tuple[Any, TaskResult | None]]:
        """Wait for results, None for a lost worker; empty if only new workers became ready."""


@dataclass
class _SplitTask(Generic[T]):
    """A task with the results of its pieces."""

    task: T
    strict: bool
    parts: list[TaskResult | None]
    running: int = 0  # pieces
    failed: bool = False


@dataclass
class _Piece(Generic[T]):
    """One range of a task's video."""

    whole: _SplitTask[T]
    number: int
    work: VideoTask
    tries: int = 0


@dataclass
class _Scheduler(Generic[T]):
    """The running pieces by key, and the queue of those that go next."""

    tasks: Iterator[tuple[T, Sequence[VideoTask], bool]]
    pool: Pool
    waiting: deque[_Piece[T]] = field(default_factory=deque)
    running: dict[Any, _Piece[T]] = field(default_factory=dict)
    ended: bool = False

    def fill(self) -> None:
        """Submit a piece to every free worker."""
        while self.pool.free:
            piece = self._next()
            if piece is None:
                return
            self.running[self.pool.submit(piece.work)] = piece
            piece.whole.running += 1

    def _next(self) -> _Piece[T] | None:
        while True:
            while self.waiting:
                piece = self.waiting.popleft()
                if not piece.whole.failed:
                    return piece
            task = None if self.ended else next(self.tasks, None)
            if task is None:
                self.ended = True
                return None
            self._take(*task)

    def _take(self, task: T, works: Sequence[VideoTask], strict: bool) -> None:
        whole = _SplitTask(task, strict, [None] * len(works))
        self.waiting.extend(_Piece(whole, number, work) for number, work in enumerate(works))

    def finish(self, key: Any, result: TaskResult | None) -> tuple[T, TaskResult] | None:
        """Take a piece's result, None if its worker was lost; returns the task once complete."""
        piece = self.running.pop(key)
        whole = piece.whole
        whole.running -= 1
        piece.tries += 1
        if result is None and piece.tries < MAX_TRIES:
            self.waiting.appendleft(piece)
        else:
            part = result or TaskResult(None, _lost(), 0.0)
            whole.parts[piece.number] = part
            whole.failed |= part.error is not None
        if whole.running or not (whole.failed or all(whole.parts)):
            return None
        return whole.task, join([part for part in whole.parts if part], whole.strict)


def _lost() -> StadkitError:
    return StadkitError(
        f"its worker was lost {MAX_TRIES} times, perhaps out of memory; try fewer --workers, or "
        "--engine local"
    )


def hand_out(
    tasks: Iterable[tuple[T, Sequence[VideoTask], bool]], pool: Pool
) -> Iterator[tuple[T, TaskResult]]:
    """Run (task, its pieces, strict) on the pool; yield each task with its result as it ends.

    A piece whose worker is lost is run by another, at most MAX_TRIES times in all.
    """
    scheduler = _Scheduler(iter(tasks), pool)
    scheduler.fill()
    while scheduler.running or scheduler.waiting or not scheduler.ended:
        done = [scheduler.finish(*each) for each in pool.wait()]
        scheduler.fill()  # before the caller writes the results
        yield from (each for each in done if each is not None)


def split(
    work: VideoTask, every: float, batch: int, max_ranges: int, min_range: int = MIN_RANGE
) -> list[VideoTask]:
    """Split a task into at most `max_ranges` ranges of at least `min_range` keyframes.

    A video of unknown length is not split. `every`, `batch`: defaults for the task's options.
    """
    batch = work.options.batch or batch
    ranges = min(max_ranges, _keyframes(work, every) // max(min_range, 1))
    if ranges < 2:
        return [work]
    count = _keyframes(work, every)
    size = -(-count // (ranges * batch)) * batch
    starts = range(0, count, size)
    # The last range is open: a file may be longer than its header says.
    parts = [(at, at + size if at + size < count else None) for at in starts]
    # `join` applies strict to the whole video.
    options = [replace(work.options, part=part, strict=False) for part in parts]
    return [replace(work, options=each) for each in options]


def _keyframes(work: VideoTask, every: float) -> int:
    """The number of keyframes by the file's header; 0: unknown."""
    options = work.options
    if options.part != ALL:
        return 0
    if options.every == FRAME:
        return 0  # the frame count is only known once all frames are read
    times = explicit_times(options, work.path.stem)
    if times is not None:
        return len(times)
    try:
        length = probe(work.path).duration
    except (VideoError, OSError):
        return 0  # reported when the video is processed
    if length is None:
        return 0
    if options.duration is not None:
        length = min(length, options.start + options.duration)
    return max(0, int(np.ceil((length - options.start) / (options.every or every))))


def join(parts: Sequence[TaskResult], strict: bool) -> TaskResult:
    """Join the results of a video's ranges, in order; the first error counts."""
    seconds = sum(part.seconds for part in parts)
    if len(parts) == 1:
        return parts[0]
    try:
        found = _joined([part.result() for part in parts])
        if strict:
            check_whole(found.info, found.report)
    except (StadkitError, OSError) as error:
        return TaskResult(None, error, seconds)
    fewest = min((part.batch for part in parts if part.batch), default=None)
    return TaskResult(found, None, seconds, fewest)


def _joined(parts: Sequence[VideoDetections]) -> VideoDetections:
    """Join detections; the last range was read to the end, so its report covers the video."""
    keyframes = [part.keyframes for part in parts]
    return VideoDetections(
        table=Detections.join([part.table for part in parts], parts[0].table.classes),
        keyframes=Keyframes(
            np.concatenate([each.video for each in keyframes]),
            np.concatenate([each.time for each in keyframes]),
        ),
        info=parts[0].info,
        report=parts[-1].report,
        outside=sum(part.outside for part in parts),
    )
