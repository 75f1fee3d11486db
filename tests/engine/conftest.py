"""Fixtures of the engine's tests: workers that run in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stadkit.detection import Detector, detect_video
from stadkit.engine import TaskResult, VideoTask, run_task


class Pool:
    """Workers in this process, which return results last first. `lost`: pieces, numbered from 0 as
    they are submitted, whose worker is lost."""

    def __init__(self, detector: Detector, workers: int, lost: tuple[int, ...] = ()) -> None:
        self.detector, self.workers, self.lost = detector, workers, lost
        self.running: dict[int, VideoTask] = {}
        self.sent: list[VideoTask] = []
        self.max_busy = 0

    @property
    def free(self) -> int:
        return self.workers - len(self.running)

    def submit(self, work: VideoTask) -> int:
        assert self.free
        self.sent.append(work)
        self.running[len(self.sent) - 1] = work
        self.max_busy = max(self.max_busy, len(self.running))
        return len(self.sent) - 1

    def wait(self) -> list[tuple[int, TaskResult | None]]:
        number, work = self.running.popitem()
        if number in self.lost:
            return [(number, None)]
        return [(number, run_task(lambda: detect_video(self.detector, work.path, work.options)))]

    def close(self) -> None:
        assert not self.running


@pytest.fixture
def make_pool(fake_detector: Detector) -> Callable[..., Any]:
    """make_pool(workers, lost=()): workers with the fake model."""
    return lambda workers, lost=(): Pool(fake_detector, workers, lost)
