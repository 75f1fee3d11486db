"""The scheduler: no task is run twice, lost, or taken before a worker is free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stadkit.detection import DetectOptions
from stadkit.engine import VideoTask
from stadkit.engine.scheduler import MAX_TRIES, hand_out
from stadkit.errors import VideoError

MakeVideo = Callable[..., Path]
MakePool = Callable[..., Any]


def task(path: Path, parts: int = 1) -> tuple[str, list[VideoTask], bool]:
    """A task of 6 keyframes, split into `parts` pieces."""
    size = 6 // parts
    ranges = [(i * size, (i + 1) * size if i < parts - 1 else None) for i in range(parts)]
    works = [VideoTask(path, DetectOptions(every=0.5, part=part)) for part in ranges]
    return path.stem, works, False


def run(tasks: Any, pool: Any) -> dict[str, Any]:
    return dict(hand_out(tasks, pool))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_task_is_returned_once(
    make_video: MakeVideo, make_pool: MakePool, workers: int
) -> None:
    pieces = {"a": 1, "b": 3, "c": 2}
    tasks = [task(make_video(f"{name}.mp4"), parts) for name, parts in pieces.items()]
    pool = make_pool(workers)
    back = list(hand_out(tasks, pool))
    assert sorted(name for name, _ in back) == ["a", "b", "c"]
    assert (len(pool.sent), pool.max_busy) == (6, workers)
    for _, result in back:
        assert result.result().keyframes.time.tolist() == [0, 0.5, 1, 1.5, 2, 2.5]


def test_tasks_are_taken_when_a_worker_is_free(make_video: MakeVideo, make_pool: MakePool) -> None:
    path, taken = make_video("a.mp4", seconds=1), 0

    def tasks() -> Iterator[Any]:
        nonlocal taken
        for _ in range(9):
            taken += 1
            yield task(path)

    ended = 0
    for _ in hand_out(tasks(), make_pool(2)):
        ended += 1
        assert taken <= ended + 2
    assert ended == 9


@pytest.mark.parametrize("lost", [(0,), (1, 2), (2, 4), (0, 2, 5)])
def test_pieces_of_a_lost_worker_are_repeated(
    make_video: MakeVideo, make_pool: MakePool, lost: tuple[int, ...]
) -> None:
    paths = [make_video(f"{name}.mp4") for name in "ab"]
    tasks = [task(path, 3) for path in paths]
    undisturbed, disturbed = run(tasks, make_pool(2)), run(tasks, make_pool(2, lost))
    for name in "ab":
        one, other = undisturbed[name].result(), disturbed[name].result()
        assert one.keyframes.time.tolist() == other.keyframes.time.tolist()
        assert (one.table.action == other.table.action).all()


def test_a_task_that_loses_every_worker_fails_alone(
    make_video: MakeVideo, make_pool: MakePool
) -> None:
    tasks = [task(make_video("a.mp4"), 2), task(make_video("b.mp4"))]
    # With one worker the first piece is retried before anything else.
    pool = make_pool(1, lost=tuple(range(MAX_TRIES)))
    back = run(tasks, pool)
    assert "its worker was lost 3 times" in str(back["a"].error)
    assert len(back["b"].result().keyframes) == 6
    assert len(pool.sent) == MAX_TRIES + 1  # the second piece is not submitted


def test_the_pieces_of_a_bad_file_are_one_error(tmp_path: Path, make_pool: MakePool) -> None:
    path = tmp_path / "bad.mp4"
    path.write_text("hello")
    pool = make_pool(2)
    back = run([task(path, 3)], pool)
    assert isinstance(back["bad"].error, VideoError)
    assert len(pool.sent) == 2


def test_no_tasks(make_pool: MakePool) -> None:
    assert list(hand_out([], make_pool(2))) == []
