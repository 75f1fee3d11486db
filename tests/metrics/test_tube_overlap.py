"""Overlap of tubes against numbers worked by hand."""

import numpy as np
import pytest

from stadkit.errors import UsageError
from stadkit.metrics.tube_overlap import TubeTracks, tube_nms, tube_overlap
from stadkit.tubes import Tubes

BOX, HALF = (0.0, 0.0, 0.4, 0.5), (0.0, 0.0, 0.2, 0.5)
Tube = tuple[list[int], tuple[float, ...]]  # frames, one box for all
RATE = 25.0


def tubes(*rows: Tube, score: list[float] | None = None) -> Tubes:
    lengths = [len(frames) for frames, _ in rows]
    box = [box for frames, box in rows for _ in frames]
    return Tubes(
        video=np.full(len(rows), "a", np.str_),
        label=np.zeros(len(rows), np.int32),
        score=np.array(score or [1.0] * len(rows), np.float64),
        track=np.full(len(rows), -1, np.int32),
        start=np.append(0, np.cumsum(lengths)).astype(np.int64),
        time=np.array([f / RATE for frames, _ in rows for f in frames], np.float64),
        box=np.array(box, np.float64).reshape(-1, 4),
        box_score=np.ones(sum(lengths)),
        interpolated=np.zeros(sum(lengths), np.bool_),
        classes=("run",),
    )


def overlap(a: Tube, b: Tube, edge: float = 0, pixels: bool = False) -> float:
    sizes = {"a": (20, 20)} if pixels else None
    one, other = (TubeTracks.of(tubes(tube), RATE, sizes) for tube in (a, b))
    first = np.zeros(1, np.int64)
    return float(tube_overlap(one, other, first, first, edge)[0])


def frames(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


def test_time_and_boxes_are_multiplied() -> None:
    # 5 to 9 of 0 to 14: 4 of 14 without the last frame, times half the box.
    assert overlap((frames(0, 9), BOX), (frames(5, 14), HALF)) == pytest.approx(4 / 14 * 0.5)


def test_the_last_frame_and_pixel_count_in_act() -> None:
    # 5 frames of 15. In pixels 0..8 x 0..10 and 0..4 x 0..10: 9 x 11 and 5 x 11.
    got = overlap((frames(0, 9), BOX), (frames(5, 14), HALF), edge=1, pixels=True)
    assert got == pytest.approx(5 / 15 * 5 / 9)


def test_the_mean_is_over_common_frames_only() -> None:
    a, b = (frames(0, 8), BOX), ([0, 2, 4, 8], BOX)
    assert overlap(a, b) == pytest.approx(1)
    assert overlap(b, a) == pytest.approx(1)
    assert overlap(([0, 2, 4], HALF), ([1, 2, 3, 4], BOX)) == pytest.approx(3 / 4 * 0.5)


def test_tubes_without_common_frames() -> None:
    assert overlap(([0, 2, 4, 6], BOX), ([1, 3, 5], BOX)) == 0


@pytest.mark.parametrize(("edge", "expected"), [(0, 0), (1, 1 / 9)])
def test_touching_in_one_frame(edge: float, expected: float) -> None:
    got = overlap((frames(0, 4), BOX), (frames(4, 8), BOX), edge, pixels=True)
    assert got == pytest.approx(expected)


@pytest.mark.parametrize(("edge", "expected"), [(0, 0), (1, 1)])
def test_tubes_of_one_frame(edge: float, expected: float) -> None:
    assert overlap(([3], BOX), ([3], BOX), edge, pixels=True) == pytest.approx(expected)


def test_apart_in_time_or_space() -> None:
    assert overlap((frames(0, 4), BOX), (frames(6, 9), BOX), edge=1, pixels=True) == 0
    assert overlap((frames(0, 4), BOX), (frames(0, 4), (0.6, 0.6, 1.0, 1.0))) == 0


def test_block_size_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows: list[Tube] = []
    for _ in range(12):
        first, low = int(rng.integers(0, 9)), rng.uniform(0, 0.4, 2)
        kept = [f for f in range(first, first + 12) if rng.random() < 0.8] or [first]
        rows.append((kept, (*low.tolist(), *(low + 0.5).tolist())))
    tracks = TubeTracks.of(tubes(*rows), RATE, None)
    i, j = (part.ravel() for part in np.indices((12, 12)))
    whole = tube_overlap(tracks, tracks, i, j, 0)
    monkeypatch.setattr("stadkit.metrics.tube_overlap._BLOCK_SIZE", 7)
    assert tube_overlap(tracks, tracks, i, j, 0) == pytest.approx(whole)
    assert whole == pytest.approx([overlap(rows[a], rows[b]) for a, b in zip(i, j, strict=True)])


def test_two_boxes_in_one_frame_at_this_rate() -> None:
    with pytest.raises(UsageError, match=r"video 'a': two boxes .* at 0\.04 s .* 10 frames a"):
        TubeTracks.of(tubes(([0, 1, 5], BOX)), 10, None)


def test_a_video_of_unknown_size() -> None:
    with pytest.raises(UsageError, match=r"no width and height for video 'a' \(1 of "):
        TubeTracks.of(tubes(([0], BOX)), RATE, {"b": (20, 20)})


def test_a_suppressed_tube_suppresses_no_other() -> None:
    long, middle, late = (frames(0, 9), BOX), (frames(6, 15), BOX), (frames(12, 21), BOX)
    group = np.zeros(3, np.int64)
    tracks = TubeTracks.of(tubes(long, middle, late), RATE, None)
    # Neighbours share 3 of 15, the ends nothing.
    by_score = np.array([0.9, 0.8, 0.7])
    assert tube_nms(tracks, group, by_score, 0.1, 0).tolist() == [True, False, True]
    assert tube_nms(tracks, group, by_score, 0.2, 0).tolist() == [True, True, True]
    assert tube_nms(tracks, np.arange(3), by_score, 0.1, 0).tolist() == [True, True, True]
    # Of equal scores the last row is the better one.
    assert tube_nms(tracks, group, np.ones(3), 0.1, 0).tolist() == [True, False, True]
    assert tube_nms(tracks, np.array([0, 0, 1]), np.ones(3), 0.1, 0).tolist() == [False, True, True]
