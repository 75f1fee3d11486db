"""Work handed out: nothing twice, nothing lost, nothing before there is room for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stadkit.detection import Options
from stadkit.engine import VideoTask
from stadkit.engine.scheduler import TRIES, hand_out
from stadkit.errors import VideoError

MakeVideo = Callable[..., Path]
MakePool = Callable[..., Any]


def whole(path: Path, parts: int = 1) -> tuple[str, list[VideoTask], bool]:
    """A task of 6 keyframes in so many pieces."""
    size = 6 // parts
    ranges = [(i * size, (i + 1) * size if i < parts - 1 else None) for i in range(parts)]
    works = [VideoTask(path, Options(every=0.5, part=part)) for part in ranges]
    return path.stem, works, False


def given(tasks: Any, pool: Any) -> dict[str, Any]:
    return dict(hand_out(tasks, pool))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_task_comes_back_once(
    make_video: MakeVideo, make_pool: MakePool, workers: int
) -> None:
    pieces = {"a": 1, "b": 3, "c": 2}
    tasks = [whole(make_video(f"{name}.mp4"), parts) for name, parts in pieces.items()]
    pool = make_pool(workers)
    back = list(hand_out(tasks, pool))
    assert sorted(name for name, _ in back) == ["a", "b", "c"]
    assert (len(pool.sent), pool.most) == (6, workers)
    for _, looked in back:
        assert looked.result().keyframes.time.tolist() == [0, 0.5, 1, 1.5, 2, 2.5]


def test_tasks_are_taken_when_there_is_room(make_video: MakeVideo, make_pool: MakePool) -> None:
    path, taken = make_video("a.mp4", seconds=1), 0

    def tasks() -> Iterator[Any]:
        nonlocal taken
        for _ in range(9):
            taken += 1
            yield whole(path)

    ended = 0
    for _ in hand_out(tasks(), make_pool(2)):
        ended += 1
        assert taken <= ended + 2
    assert ended == 9


@pytest.mark.parametrize("lost", [(0,), (1, 2), (2, 4), (0, 2, 5)])
def test_what_a_lost_worker_had_is_done_again(
    make_video: MakeVideo, make_pool: MakePool, lost: tuple[int, ...]
) -> None:
    paths = [make_video(f"{name}.mp4") for name in "ab"]
    tasks = [whole(path, 3) for path in paths]
    undisturbed, disturbed = given(tasks, make_pool(2)), given(tasks, make_pool(2, lost))
    for name in "ab":
        one, other = undisturbed[name].result(), disturbed[name].result()
        assert one.keyframes.time.tolist() == other.keyframes.time.tolist()
        assert (one.table.action == other.table.action).all()


def test_a_task_that_loses_every_worker_fails_alone(
    make_video: MakeVideo, make_pool: MakePool
) -> None:
    tasks = [whole(make_video("a.mp4"), 2), whole(make_video("b.mp4"))]
    # One worker: the first piece goes out again and again, before anything else.
    pool = make_pool(1, lost=tuple(range(TRIES)))
    back = given(tasks, pool)
    assert "its worker was lost 3 times" in str(back["a"].error)
    assert len(back["b"].result().keyframes) == 6
    assert len(pool.sent) == TRIES + 1  # not the second piece


def test_the_pieces_of_a_bad_file_are_one_error(tmp_path: Path, make_pool: MakePool) -> None:
    path = tmp_path / "bad.mp4"
    path.write_text("hello")
    pool = make_pool(2)
    back = given([whole(path, 3)], pool)
    assert isinstance(back["bad"].error, VideoError)
    assert len(pool.sent) == 2


def test_no_tasks(make_pool: MakePool) -> None:
    assert list(hand_out([], make_pool(2))) == []
