"""Prefetched items: same items and order, errors are raised, and the thread always ends."""

import threading
from collections.abc import Iterator

import pytest

from stadkit.detection.prefetch import prefetch


@pytest.mark.parametrize("waiting", [1, 3, 100])
def test_same_items_in_the_same_order(waiting: int) -> None:
    with prefetch(range(50), waiting) as items:
        assert list(items) == list(range(50))


def test_no_more_than_max_ready_wait() -> None:
    made = []

    def source() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    with prefetch(source(), 2) as items:
        next(items)
        # One consumed, two queued, one held by the thread.
        threading.Event().wait(0.2)
        assert len(made) <= 4


def test_an_error_is_raised_in_place_of_its_item() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyError("lost")

    with prefetch(source(), 5) as items:
        assert next(items) == 1
        with pytest.raises(KeyError, match="lost"):
            next(items)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_thread_ends_when_the_caller_fails(error: type[BaseException]) -> None:
    before = threading.active_count()

    def fail() -> None:
        with prefetch(iter(int, 1), 2) as items:  # an endless source
            next(items)
            raise error

    with pytest.raises(error):
        fail()
    assert threading.active_count() == before


def test_ctrl_c_is_raised_after_the_thread_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    before, go, joins = threading.active_count(), threading.Event(), [0]
    join = threading.Thread.join

    def source() -> Iterator[int]:
        yield 1
        go.wait(30)

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        joins[0] += 1
        if joins[0] == 1:
            go.set()
            raise KeyboardInterrupt
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt), prefetch(source(), 2) as items:
        next(items)
    assert threading.active_count() == before
