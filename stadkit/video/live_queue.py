"""A queue between live pictures and who takes them: the freshest are kept."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
TICK = 0.1  # seconds that a wait may keep Ctrl-C waiting


class Freshest(Generic[T]):
    """A queue that never makes the giver wait: when it is full, its oldest item is dropped."""

    def __init__(self, room: int) -> None:
        self.dropped = 0
        self._items: deque[T] = deque()
        self._room, self._ended = room, False
        self._error: BaseException | None = None
        self._change = threading.Condition()

    def put(self, item: T) -> None:
        """Add the newest item."""
        with self._change:
            if len(self._items) == self._room:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._change.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """There is no more; `error` comes out of `take` when the rest is taken."""
        with self._change:
            self._ended, self._error = True, self._error or error
            self._change.notify_all()

    def take(self, most: int = 1, over: Callable[[], bool] = lambda: False) -> list[T]:
        """The oldest items, at least one and at most so many; none at the end, or where it is
        `over` before one comes."""
        with self._change:
            while not self._items and not self._ended and not over():
                self._change.wait(TICK)
            if not self._items and self._error is not None:
                raise self._error
            return [self._items.popleft() for _ in range(min(most, len(self._items)))]
