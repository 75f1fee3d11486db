"""Prefetching: a thread produces items while the caller consumes earlier ones."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _End:
    pass


@contextmanager
def prefetch(items: Iterable[T], max_ready: int) -> Iterator[Iterator[T]]:
    """The same items in order, produced by a thread, at most `max_ready` ahead of the caller.

    An error in the thread is raised in place of the item. Leaving the block always ends the
    thread first, so that the source of the items may then be closed.
    """
    ready: queue.Queue[T | _Failed | _End] = queue.Queue(max_ready)
    stop = threading.Event()
    thread = threading.Thread(target=_produce, args=(items, ready, stop), daemon=True)
    try:
        thread.start()
        yield _consume(ready)
    finally:
        stop.set()
        _join(thread)


def _join(thread: threading.Thread) -> None:
    """Wait for the thread to end; a Ctrl-C meanwhile is raised afterwards.

    The source of the items must not be closed while the thread is reading it.
    """
    interrupt: BaseException | None = None
    while thread.is_alive():
        try:
            thread.join()
        except (KeyboardInterrupt, SystemExit) as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


def _produce(
    items: Iterable[T], ready: queue.Queue[T | _Failed | _End], stop: threading.Event
) -> None:
    try:
        for item in items:
            if not _put(item, ready, stop):
                return
        _put(_End(), ready, stop)
    except BaseException as error:
        _put(_Failed(error), ready, stop)


def _put(
    item: T | _Failed | _End, ready: queue.Queue[T | _Failed | _End], stop: threading.Event
) -> bool:
    """Whether the item was queued before the caller stopped."""
    while not stop.is_set():
        try:
            ready.put(item, timeout=0.05)
        except queue.Full:
            continue
        return True
    return False


def _consume(ready: queue.Queue[T | _Failed | _End]) -> Iterator[T]:
    while True:
        item = ready.get()
        if isinstance(item, _End):
            return
        if isinstance(item, _Failed):
            raise item.error
        yield item
