"""From a video to one table per keyframe, with a model of known outputs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stadkit.detection import DetectOptions, Detector, detect_video
from stadkit.detections import Detections
from stadkit.errors import StadkitError, VideoError
from stadkit.video.clips import Clip, Cut

MakeVideo = Callable[..., Path]


def clip(time: float, red: int, height: int = 32, width: int = 40) -> Clip:
    pixels = np.zeros((4, height, width, 3), np.uint8)
    pixels[..., 0] = red
    return Clip("v", pixels, time, np.full(4, time), (height, width))


def test_a_table_for_each_keyframe_in_order(fake_detector: Detector, make_video: MakeVideo) -> None:
    tables = list(fake_detector.detect(make_video("a.mp4", seconds=3), every=0.5))
    assert [table.time.tolist() for table in tables] == [[0.0], [0.5], [1.0], [1.5], [2.0], [2.5]]
    assert {str(table.video[0]) for table in tables} == {"a"}
    assert tables[0].classes == ("wave", "sit")
    np.testing.assert_allclose(tables[3].box, [[0.0, 0.1, 0.5, 0.9]])
    np.testing.assert_allclose(tables[3].person, [0.8], atol=1e-6)
    # The red of frame 15 of 0..29, as H.264 encodes it; the second class has half of it.
    np.testing.assert_allclose(tables[3].action, [[15 / 29, 7.5 / 29]], atol=0.05)


def test_the_cut_follows_the_card(fake_model: Any, fake_card: Any) -> None:
    card = replace(fake_card, resize="linear", long_side=1333)
    assert Detector(fake_model, card).cut == Cut(4, 0.1, 2, 32, "linear", 1333)
    assert Detector(fake_model, fake_card).cut == Cut(4, 0.1, 2, 32, "area", 0)


def test_thresholds_and_top_k(fake_detector: Detector, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=1)

    def count(**options: Any) -> int:
        return sum(len(table) for table in fake_detector.detect(path, **options))

    assert count() == 1
    assert count(min_person=0.2) == 2
    assert count(min_person=0.2, top_k=1) == 1
    assert count(min_person=0.9) == 0


def test_an_empty_keyframe_is_an_empty_table(fake_detector: Detector) -> None:
    (table,) = fake_detector.detect_clips([clip(0.0, 100)], min_person=0.9)
    assert len(table) == 0
    assert table.classes == ("wave", "sit")


def test_low_actions_become_unscored(fake_detector: Detector) -> None:
    (table,) = fake_detector.detect_clips([clip(0.0, 102)], min_action=0.3)
    np.testing.assert_allclose(table.action, [[0.4, np.nan]], atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_results_do_not_depend_on_the_batch(fake_detector: Detector, batch: int) -> None:
    clips = [clip(i / 2, 20 * i) for i in range(7)]
    tables = list(fake_detector.detect_clips(clips, batch=batch))
    assert [float(table.time[0]) for table in tables] == [i / 2 for i in range(7)]
    np.testing.assert_allclose(
        [table.action[0, 0] for table in tables], [max(20 * i / 255, 1e-4) for i in range(7)], 1e-4
    )


@pytest.mark.parametrize(("threads", "largest"), [(1, 1), (3, 2), (4, 4), (16, 8)])
def test_a_cpu_batch_divides_the_cards_batch(
    fake_detector: Detector, monkeypatch: pytest.MonkeyPatch, threads: int, largest: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    fake_detector.card = replace(fake_detector.card, batch=8)
    groups: list[int] = []
    fake_detector.on_clips = lambda clips: groups.append(len(clips))
    list(fake_detector.detect_clips([clip(i, 20) for i in range(9)]))
    assert (max(groups), sum(groups)) == (largest, 9)


def test_running_out_of_memory_halves_the_batch(fake_detector: Detector) -> None:
    whole = fake_detector.model.forward

    def forward(pixels: Any, *rest: Any) -> Any:
        if len(pixels) > 2:
            raise torch.OutOfMemoryError
        return whole(pixels, *rest)

    fake_detector.model.forward = forward
    tables = list(fake_detector.detect_clips([clip(i, 20) for i in range(7)], batch=7))
    assert [float(table.time[0]) for table in tables] == list(range(7))
    assert fake_detector.max_clips == 1


def test_no_memory_for_one_clip_is_an_error(fake_detector: Detector) -> None:
    def forward(*_: Any) -> Any:
        raise torch.OutOfMemoryError

    fake_detector.model.forward = forward
    with pytest.raises(StadkitError, match="out of memory with one clip"):
        list(fake_detector.detect_clips([clip(0, 20), clip(1, 20)]))


def test_proposals_are_classified_at_their_own_times(
    fake_detector: Detector, make_video: MakeVideo
) -> None:
    proposals = Detections(
        video=np.array(["a", "a", "a", "b"]),
        time=np.array([1.0, 1.0, 2.0, 0.0]),
        box=np.array(
            [[0, 0, 1, 1], [0.1, 0.1, 0.3, 0.4], [0.2, 0.2, 0.5, 0.5], [0, 0, 1, 1]], "f4"
        ),
        person=np.array([0.9, 0.2, np.nan, 0.9], np.float32),
        action=np.zeros((4, 0), np.float32),
        track=np.full(4, -1, np.int32),
        classes=(),
    )
    tables = list(fake_detector.detect(make_video("a.mp4"), proposals=proposals))
    assert [table.time.tolist() for table in tables] == [[1.0], [2.0]]  # .2 is below .5
    np.testing.assert_allclose(tables[0].box, [[0, 0, 1, 1]])
    np.testing.assert_allclose(tables[0].person, [0.9], atol=1e-5)
    np.testing.assert_allclose(tables[1].person, [1.0], atol=1e-5)  # no score: certain


def test_whole_video_with_keyframes_and_report(
    fake_detector: Detector, make_video: MakeVideo
) -> None:
    seen: list[float] = []
    found = detect_video(
        fake_detector,
        make_video("a.mp4", seconds=2),
        DetectOptions(every=0.5, min_person=0.9),
        lambda time, table: seen.append(time),
    )
    assert found.keyframes.time.tolist() == seen == [0.0, 0.5, 1.0, 1.5]
    assert len(found.table) == 0
    assert (found.report.frames, found.report.partial) == (20, False)


def test_a_truncated_video_gives_the_readable_part(
    fake_detector: Detector, make_video: MakeVideo
) -> None:
    path = make_video("a.mp4", seconds=20)
    content = path.read_bytes()
    path.write_bytes(content[: int(0.7 * len(content))])
    found = detect_video(fake_detector, path)
    assert found.report.partial
    assert 0 < len(found.keyframes) < 20


def test_the_decoding_thread_ends_with_the_caller(
    fake_detector: Detector, make_video: MakeVideo
) -> None:
    before = threading.active_count()
    tables = fake_detector.detect(make_video("a.mp4", seconds=5), every=0.1)
    next(tables)
    assert threading.active_count() == before + 1
    tables.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_video_errors_are_raised(fake_detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("hello")
    with pytest.raises(VideoError, match=r"a\.mp4"):
        list(fake_detector.detect(tmp_path / "a.mp4"))


def test_an_exact_model_runs_in_float32_on_a_cpu(
    fake_model: Any, fake_card: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stadkit.detection.device.bf16_is_faster", lambda _: True)
    exact = replace(fake_card, exact=True)
    assert Detector(fake_model, fake_card, "cpu").precision is torch.bfloat16
    assert Detector(fake_model, exact, "cpu").precision is torch.float32
    assert Detector(fake_model, exact, "cpu", "bf16").precision is torch.bfloat16
