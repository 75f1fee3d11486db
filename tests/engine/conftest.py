"""What the engine's tests share: workers that are no processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stadkit.detection import Detector, detect_video
from stadkit.engine import TaskResult, VideoTask, look


class Pool:
    """So many workers of this process; what they do comes back the last first. `lost` names the
    pieces of work, counted from 0 as they go out, whose worker is lost."""

    def __init__(self, detector: Detector, workers: int, lost: tuple[int, ...] = ()) -> None:
        self.detector, self.workers, self.lost = detector, workers, lost
        self.out: dict[int, VideoTask] = {}
        self.sent: list[VideoTask] = []
        self.most = 0  # at work at a time

    @property
    def free(self) -> int:
        return self.workers - len(self.out)

    def submit(self, work: VideoTask) -> int:
        assert self.free
        self.sent.append(work)
        self.out[len(self.sent) - 1] = work
        self.most = max(self.most, len(self.out))
        return len(self.sent) - 1

    def wait(self) -> list[tuple[int, TaskResult | None]]:
        number, work = self.out.popitem()
        if number in self.lost:
            return [(number, None)]
        return [(number, look(lambda: detect_video(self.detector, work.path, work.options)))]

    def close(self) -> None:
        assert not self.out


@pytest.fixture
def make_pool(fake_detector: Detector) -> Callable[..., Any]:
    """make_pool(workers, lost=()): workers that have the fake model."""
    return lambda workers, lost=(): Pool(fake_detector, workers, lost)
