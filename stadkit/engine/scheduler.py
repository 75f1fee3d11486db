"""Work handed out to workers as they become free, and again where a worker is lost.

Nothing is taken from the tasks before a worker has room for it: so little is begun at any time, and
little has to be held.

A long video as ranges of keyframes, for several workers; their results as those of one.

A range is decoded from the start of the video on, as a reader never seeks: what is decoded before
it is not resized or looked at. Ranges are whole batches, so that the same clips go through the
model together as if the video was not split, and the numbers are the same to the last bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from stadkit.detection import VideoDetections
from stadkit.detection.detector import asked_times
from stadkit.detection.video import check_whole
from stadkit.detections import Detections, Keyframes
from stadkit.engine.worker import TaskResult, VideoTask
from stadkit.errors import StadkitError, VideoError
from stadkit.video.decode import probe
from stadkit.video.keys import ALL, FRAME

T = TypeVar("T")
TRIES = 3  # of a piece of work whose worker is lost
LONG = 200  # keyframes of a range at least; a shorter video is decoded twice for too little


class Pool(Protocol):
    """Workers, each of which does one piece of work at a time."""

    @property
    def free(self) -> int:
        """How many have nothing to do."""

    def submit(self, work: VideoTask) -> Any:
        """Have a free worker do it; what it is known by until it comes back."""

    def wait(self) -> list[tuple[Any, TaskResult | None]]:
        """What has come back, None of a worker that was lost; empty where there are new workers."""


@dataclass
class _Whole(Generic[T]):
    """A task whose pieces are out, or yet to go."""

    task: T
    strict: bool
    parts: list[TaskResult | None]
    out: int = 0
    failed: bool = False


@dataclass
class _Piece(Generic[T]):
    whole: _Whole[T]
    number: int
    work: VideoTask
    tries: int = 0


@dataclass
class _Scheduler(Generic[T]):
    """What is out, by how it is known, and what waits to go out next."""

    tasks: Iterator[tuple[T, Sequence[VideoTask], bool]]
    pool: Pool
    waiting: deque[_Piece[T]] = field(default_factory=deque)
    running: dict[Any, _Piece[T]] = field(default_factory=dict)
    ended: bool = False

    def fill(self) -> None:
        """Give every free worker something to do."""
        while self.pool.free:
            piece = self._next()
            if piece is None:
                return
            self.running[self.pool.submit(piece.work)] = piece
            piece.whole.out += 1

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
        whole = _Whole(task, strict, [None] * len(works))
        self.waiting.extend(_Piece(whole, number, work) for number, work in enumerate(works))

    def back(self, key: Any, looked: TaskResult | None) -> tuple[T, TaskResult] | None:
        """A piece came back, or its worker was lost; the task where it was the last of it."""
        piece = self.running.pop(key)
        whole = piece.whole
        whole.out -= 1
        piece.tries += 1
        if looked is None and piece.tries < TRIES:
            self.waiting.appendleft(piece)
        else:
            part = looked or TaskResult(None, _lost(), 0.0)
            whole.parts[piece.number] = part
            whole.failed |= part.error is not None
        if whole.out or not (whole.failed or all(whole.parts)):
            return None
        return whole.task, join([part for part in whole.parts if part], whole.strict)


def _lost() -> StadkitError:
    return StadkitError(
        f"its worker was lost {TRIES} times, for lack of memory perhaps; try fewer --workers, or "
        "the local engine"
    )


def hand_out(
    tasks: Iterable[tuple[T, Sequence[VideoTask], bool]], pool: Pool
) -> Iterator[tuple[T, TaskResult]]:
    """Each (task, its work in pieces, whether it must be whole) as it ends, with what was found.

    A piece whose worker is lost is done by another one, at most TRIES times in all.
    """
    hands = _Scheduler(iter(tasks), pool)
    hands.fill()
    while hands.running or hands.waiting or not hands.ended:
        done = [hands.back(*each) for each in pool.wait()]
        hands.fill()  # before the caller writes what was found
        yield from (each for each in done if each is not None)


def split(
    work: VideoTask, every: float, batch: int, most: int, long: int = LONG
) -> list[VideoTask]:
    """The work in at most so many ranges of `long` keyframes or more; all of it as one where its
    length is not known. `every`, `batch`: seconds and clips where its options do not say."""
    batch = work.options.batch or batch
    ranges = min(most, _keyframes(work, every) // max(long, 1))
    if ranges < 2:
        return [work]
    count = _keyframes(work, every)
    size = -(-count // (ranges * batch)) * batch
    starts = range(0, count, size)
    # The last one has no end: a file may be longer than it says.
    parts = [(at, at + size if at + size < count else None) for at in starts]
    # Strict is to be said of the whole, as `join` does.
    options = [replace(work.options, part=part, strict=False) for part in parts]
    return [replace(work, options=each) for each in options]


def _keyframes(work: VideoTask, every: float) -> int:
    """How many keyframes there will be, by what the file says of itself; 0: not known."""
    options = work.options
    if options.part != ALL:
        return 0
    if options.every == FRAME:
        return 0  # how many frames there are is known when they have been read
    times = asked_times(options, work.path.stem)
    if times is not None:
        return len(times)
    try:
        length = probe(work.path).duration
    except (VideoError, OSError):
        return 0  # told where the video is looked at
    if length is None:
        return 0
    if options.duration is not None:
        length = min(length, options.start + options.duration)
    return max(0, int(np.ceil((length - options.start) / (options.every or every))))


def join(parts: Sequence[TaskResult], strict: bool) -> TaskResult:
    """What the ranges of a video gave, in order, as one; the first error counts."""
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
    """The last range was read to the end, so that its report is of the whole."""
    looked = [part.keyframes for part in parts]
    return VideoDetections(
        table=Detections.join([part.table for part in parts], parts[0].table.classes),
        keyframes=Keyframes(
            np.concatenate([each.video for each in looked]),
            np.concatenate([each.time for each in looked]),
        ),
        info=parts[0].info,
        report=parts[-1].report,
        outside=sum(part.outside for part in parts),
    )
