"""Work handed out to workers as they become free, and again where a worker is lost.

Nothing is taken from the tasks before a worker has room for it: so little is begun at any time, and
little has to be held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from stadkit.engine.ranges import join
from stadkit.engine.work import Looked, Work
from stadkit.errors import StadkitError

T = TypeVar("T")
TRIES = 3  # of a piece of work whose worker is lost


class Pool(Protocol):
    """Workers, each of which does one piece of work at a time."""

    @property
    def free(self) -> int:
        """How many have nothing to do."""

    def submit(self, work: Work) -> Any:
        """Have a free worker do it; what it is known by until it comes back."""

    def wait(self) -> list[tuple[Any, Looked | None]]:
        """What has come back, None of a worker that was lost; empty where there are new workers."""


@dataclass
class _Whole(Generic[T]):
    """A task whose pieces are out, or yet to go."""

    task: T
    strict: bool
    parts: list[Looked | None]
    out: int = 0
    failed: bool = False


@dataclass
class _Piece(Generic[T]):
    whole: _Whole[T]
    number: int
    work: Work
    tries: int = 0


@dataclass
class _Hands(Generic[T]):
    """What is out, by how it is known, and what waits to go out next."""

    tasks: Iterator[tuple[T, Sequence[Work], bool]]
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

    def _take(self, task: T, works: Sequence[Work], strict: bool) -> None:
        whole = _Whole(task, strict, [None] * len(works))
        self.waiting.extend(_Piece(whole, number, work) for number, work in enumerate(works))

    def back(self, key: Any, looked: Looked | None) -> tuple[T, Looked] | None:
        """A piece came back, or its worker was lost; the task where it was the last of it."""
        piece = self.running.pop(key)
        whole = piece.whole
        whole.out -= 1
        piece.tries += 1
        if looked is None and piece.tries < TRIES:
            self.waiting.appendleft(piece)
        else:
            part = looked or Looked(None, _lost(), 0.0)
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
    tasks: Iterable[tuple[T, Sequence[Work], bool]], pool: Pool
) -> Iterator[tuple[T, Looked]]:
    """Each (task, its work in pieces, whether it must be whole) as it ends, with what was found.

    A piece whose worker is lost is done by another one, at most TRIES times in all.
    """
    hands = _Hands(iter(tasks), pool)
    hands.fill()
    while hands.running or hands.waiting or not hands.ended:
        done = [hands.back(*each) for each in pool.wait()]
        hands.fill()  # before the caller writes what was found
        yield from (each for each in done if each is not None)
