"""Looking at videos with many workers: started with the first piece of work, ended at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from types import TracebackType
from typing import Self, TypeVar

from stadkit.engine.ray_pool import RayPool
from stadkit.engine.scheduler import LONG, hand_out, split
from stadkit.engine.worker import TaskResult, VideoTask, WorkerConfig

T = TypeVar("T")


@dataclass
class RayExecutor:
    """Workers of Ray that all look with the same model; a context manager."""

    setup: WorkerConfig
    workers: int
    every: float  # seconds between keyframes where nothing else is asked
    batch: int  # clips at once, likewise
    splits: bool  # whether a long video may be looked at in ranges
    address: str | None = None  # of a cluster; None: this machine
    tell: Callable[[str], None] = print
    long: int = LONG  # keyframes

    @cached_property
    def pool(self) -> RayPool:
        """The workers, started when first wanted."""
        return RayPool(self.setup, self.workers, self.address, self.tell)

    def look(self, tasks: Iterable[tuple[T, VideoTask]]) -> Iterator[tuple[T, TaskResult]]:
        """Each task as it ends, with what was found in its video."""
        rest = iter(tasks)
        for first in rest:  # no worker is started for nothing
            yield from hand_out(map(self._cut, chain([first], rest)), self.pool)

    def _cut(self, task: tuple[T, VideoTask]) -> tuple[T, list[VideoTask], bool]:
        work, most = _with_own_boxes(task[1]), self.workers if self.splits else 1
        works = split(work, self.every, self.batch, most, self.long)
        return task[0], works, work.options.strict

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if "pool" in self.__dict__:  # it was wanted
            self.__dict__.pop("pool").close()


def _with_own_boxes(work: VideoTask) -> VideoTask:
    """The work with the proposals of its video only: those of a data set are large."""
    given = work.options.proposals
    if given is None:
        return work
    own = given.select(given.video == work.path.stem)
    return replace(work, options=replace(work.options, proposals=own))
