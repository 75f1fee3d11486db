"""Detection in videos by many workers, started with the first task and stopped at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from types import TracebackType
from typing import Self, TypeVar

from stadkit.engine.ray_pool import RayPool
from stadkit.engine.scheduler import MIN_RANGE, hand_out, split
from stadkit.engine.worker import TaskResult, VideoTask, WorkerConfig

T = TypeVar("T")


@dataclass
class RayExecutor:
    """Ray workers that all run the same model; a context manager."""

    config: WorkerConfig
    workers: int
    every: float  # default seconds between keyframes
    batch: int  # default clips per pass
    splits: bool  # whether a long video may be split into ranges
    address: str | None = None  # of a cluster; None: this machine
    report: Callable[[str], None] = print
    min_range: int = MIN_RANGE  # keyframes

    @cached_property
    def pool(self) -> RayPool:
        """The workers, started on first use."""
        return RayPool(self.config, self.workers, self.address, self.report)

    def run(self, tasks: Iterable[tuple[T, VideoTask]]) -> Iterator[tuple[T, TaskResult]]:
        """Yield each task with its result, as it ends."""
        rest = iter(tasks)
        for first in rest:  # without tasks no worker is started
            yield from hand_out(map(self._split, chain([first], rest)), self.pool)

    def _split(self, task: tuple[T, VideoTask]) -> tuple[T, list[VideoTask], bool]:
        work, max_ranges = _with_own_proposals(task[1]), self.workers if self.splits else 1
        ranges = split(work, self.every, self.batch, max_ranges, self.min_range)
        return task[0], ranges, work.options.strict

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if "pool" in self.__dict__:  # it was started
            self.__dict__.pop("pool").close()


def _with_own_proposals(task: VideoTask) -> VideoTask:
    """The task with the proposals of its video only: those of a whole data set are large."""
    proposals = task.options.proposals
    if proposals is None:
        return task
    own = proposals.select(proposals.video == task.path.stem)
    return replace(task, options=replace(task.options, proposals=own))
