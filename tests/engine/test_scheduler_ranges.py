"""A video split into ranges of keyframes gives the same results to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stadkit.detection import DetectOptions, Detector, VideoDetections, detect_video
from stadkit.detections import Detections
from stadkit.engine import VideoTask, run_task
from stadkit.engine.scheduler import join, split

MakeVideo = Callable[..., Path]


def found_in_parts(
    detector: Detector, work: VideoTask, max_ranges: int, min_range: int
) -> tuple[int, Any]:
    works = split(work, detector.every, detector.card.batch, max_ranges, min_range)
    results = [run_task(lambda w=w: detect_video(detector, w.path, w.options)) for w in works]  # type: ignore[misc]
    return len(works), join(results, work.options.strict)


def same(one: VideoDetections, other: VideoDetections) -> None:
    assert (one.info, one.report, one.outside) == (other.info, other.report, other.outside)
    assert one.keyframes.time.tolist() == other.keyframes.time.tolist()
    for name in ("video", "time", "box", "person", "action", "track"):
        assert getattr(one.table, name).tolist() == getattr(other.table, name).tolist()


def proposals(times: list[float]) -> Detections:
    n = len(times)
    return Detections(
        video=np.full(n, "a"),
        time=np.array(times),
        box=np.tile(np.array([0.1, 0.1, 0.4, 0.9], np.float32), (n, 1)),
        person=np.ones(n, np.float32),
        action=np.full((n, 2), np.nan, np.float32),
        track=np.full(n, -1, np.int32),
        classes=("wave", "sit"),
    )


@pytest.mark.parametrize(
    ("options", "pieces"),
    [
        (DetectOptions(every=0.1), 5),
        (DetectOptions(every="frame"), 1),  # the frame count is unknown
        (DetectOptions(every=0.1, batch=7), 3),  # 42 keyframes or 43, in whole batches
        (DetectOptions(every=0.3, start=0.7, duration=2.0), 1),  # 7 keyframes
        (DetectOptions(every=0.1, start=0.7, duration=2.0), 2),
        (DetectOptions(times=[i / 20 for i in range(60)]), 5),
        (DetectOptions(times=[i / 10 for i in range(-3, 60)]), 5),  # some outside
        (DetectOptions(proposals=proposals([i / 10 for i in range(30)] + [9.0])), 4),
    ],
    ids=str,
)
def test_ranges_give_the_same_results(
    fake_detector: Detector, make_video: MakeVideo, options: DetectOptions, pieces: int
) -> None:
    work = VideoTask(make_video("a.mp4", seconds=4.2), options)
    count, result = found_in_parts(fake_detector, work, max_ranges=5, min_range=7)
    assert count == pieces
    same(result.result(), detect_video(fake_detector, work.path, options))


def test_ranges_are_whole_batches(make_video: MakeVideo) -> None:
    work = VideoTask(make_video("a.mp4", seconds=4), DetectOptions(every=0.1, batch=8))
    parts = [each.options.part for each in split(work, 1.0, 2, max_ranges=3, min_range=5)]
    assert parts == [(0, 16), (16, 32), (32, None)]


def test_a_truncated_video_is_partial_in_ranges_too(
    fake_detector: Detector, make_video: MakeVideo
) -> None:
    path = make_video("a.mp4", seconds=20)
    path.write_bytes(path.read_bytes()[: int(0.7 * path.stat().st_size)])
    options = DetectOptions(every=0.5)
    count, result = found_in_parts(
        fake_detector, VideoTask(path, options), max_ranges=4, min_range=5
    )
    assert count == 4
    assert result.result().report.partial
    same(result.result(), detect_video(fake_detector, path, options))
    work = VideoTask(path, replace(options, strict=True))
    _, result = found_in_parts(fake_detector, work, max_ranges=4, min_range=5)
    assert "read only in part" in str(result.error)


def test_what_is_not_split(make_video: MakeVideo, tmp_path: Path) -> None:
    def count(work: VideoTask, max_ranges: int = 4) -> int:
        return len(split(work, 1.0, 2, max_ranges, min_range=3))

    path = make_video("a.mp4", seconds=8)
    assert count(VideoTask(path, DetectOptions())) == 2
    assert count(VideoTask(path, DetectOptions()), max_ranges=1) == 1
    assert count(VideoTask(path, DetectOptions(duration=4.0))) == 1
    assert count(VideoTask(tmp_path / "gone.mp4", DetectOptions())) == 1
    assert count(VideoTask(path, DetectOptions(part=(2, None)))) == 1
