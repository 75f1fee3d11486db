"""Work ahead: a thread makes items while the caller uses earlier ones."""

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
def prefetch(items: Iterable[T], waiting: int) -> Iterator[Iterator[T]]:
    """The same items in the same order, made by a thread, at most `waiting` of them not yet used.

    What the thread raises comes out where the item would have. Leaving the block, for
    whatever reason, ends the thread before anything else happens, so the source of the items
    may then be closed.
    """
    ready: queue.Queue[T | _Failed | _End] = queue.Queue(waiting)
    stop = threading.Event()
    thread = threading.Thread(target=_make, args=(items, ready, stop), daemon=True)
    try:
        thread.start()
        yield _use(ready)
    finally:
        stop.set()
        _join(thread)


def _join(thread: threading.Thread) -> None:
    """Wait for the thread to end; a Ctrl-C meanwhile is for afterwards.

    The source of its items must not be closed while it is still in there.
    """
    stopped: BaseException | None = None
    while thread.is_alive():
        try:
            thread.join()
        except (KeyboardInterrupt, SystemExit) as stop:
            stopped = stop
    if stopped is not None:
        raise stopped


def _make(
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
    """Whether the item found a place before the caller stopped."""
    while not stop.is_set():
        try:
            ready.put(item, timeout=0.05)
        except queue.Full:
            continue
        return True
    return False


def _use(ready: queue.Queue[T | _Failed | _End]) -> Iterator[T]:
    while True:
        item = ready.get()
        if isinstance(item, _End):
            return
        if isinstance(item, _Failed):
            raise item.error
        yield item
