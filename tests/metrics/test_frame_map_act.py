"""ACT's frame AP against numbers worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from stadkit.errors import UsageError
from stadkit.metrics.frame_map_act import frame_map_act
from stadkit.tubes import Tubelets, Tubes

SIZES = {"a": (100, 100)}
HERE, LOW, FAR = [0.0, 0, 9, 9], [0.0, 0, 9, 4], [50.0, 50, 59, 59]
Row = tuple[int, float, list[float]]  # first frame, score, x1 y1 x2 y2 in pixels


def tubelets(*rows: Row, k: int = 1, classes: tuple[str, ...] = ("run",)) -> Tubelets:
    return Tubelets(
        videos=("a",),
        video=np.zeros(len(rows), np.int32),
        frame=np.array([row[0] for row in rows], np.int64),
        label=np.zeros(len(rows), np.int32),
        score=np.array([row[1] for row in rows], np.float64),
        box=np.repeat(np.array([row[2] for row in rows], np.float64).reshape(-1, 1, 4), k, axis=1),
        classes=classes,
    )


def truth(*boxes: list[float], frames: int = 2, classes: tuple[str, ...] = ("run",)) -> Tubes:
    """These boxes, each at frames 1 to `frames`."""
    n, t = len(boxes), len(boxes) * frames
    return Tubes(
        video=np.full(n, "a", np.str_),
        label=np.zeros(n, np.int32),
        score=np.ones(n),
        track=np.full(n, -1, np.int32),
        start=np.arange(0, t + 1, frames),
        time=np.tile(np.arange(frames) / 25, n),
        box=np.repeat(np.array(boxes, np.float64).reshape(-1, 4) / 100, frames, axis=0),
        box_score=np.ones(t),
        interpolated=np.zeros(t, np.bool_),
        classes=classes,
    )


def ap(found: Tubelets, true: Tubes, min_iou: float = 0.5) -> float:
    return float(frame_map_act(found, true, sizes=SIZES, rate=25, min_iou=min_iou)[0])


def test_a_tubelet_counts_at_each_of_its_frames() -> None:
    # From frame 2 on for 2 frames: right at 2, wrong at 3. Recall 1/2, precision 1, then 1/2.
    assert ap(tubelets((2, 0.9, HERE), k=2), truth(HERE)) == pytest.approx(0.5)
    assert ap(tubelets((1, 0.9, HERE), k=2), truth(HERE)) == pytest.approx(1)


def test_the_last_pixel_is_inside() -> None:
    # 10 x 5 of 10 x 10; without the last pixel it would be 4/9.
    assert ap(tubelets((1, 0.9, LOW), k=2), truth(HERE)) == pytest.approx(1)
    assert ap(tubelets((1, 0.9, LOW), k=2), truth(HERE), min_iou=0.51) == 0


def test_a_box_takes_the_best_remaining_truth() -> None:
    true = truth(HERE, LOW, frames=1)
    # Both like HERE best; IoU of LOW with the second is .5 of 10 x 10, too little for soft NMS
    # to act between the found ones.
    found = tubelets((1, 0.9, [0.0, 0, 9, 8]), (1, 0.8, [0.0, 0, 9, 4]))
    assert ap(found, true) == pytest.approx(1)
    second = tubelets((1, 0.9, HERE), (1, 0.8, [20.0, 0, 29, 9]))
    assert ap(second, truth(HERE, frames=1)) == pytest.approx(1)  # right first, then no recall


def test_soft_nms_lowers_a_second_box() -> None:
    near, wrong = [0.0, 0, 9, 7], FAR  # IoU with HERE .8: .85 becomes .17
    found = tubelets((1, 0.9, HERE), (1, 0.85, near), (1, 0.5, wrong), (2, 0.4, HERE))
    # Ranked: .9 right, .5 wrong, .4 right, .17 wrong; 2 truths.
    assert ap(found, truth(HERE)) == pytest.approx(0.5 + 0.5 * (1 / 2 + 2 / 3) / 2)


def test_classes_without_truth_or_boxes() -> None:
    classes = ("run", "jump", "sit")
    found = replace(tubelets((1, 0.9, HERE), classes=classes), label=np.array([1], np.int32))
    got = frame_map_act(found, truth(HERE, classes=classes), sizes=SIZES, rate=25)
    assert got.tolist() == pytest.approx([0, np.nan, np.nan], nan_ok=True)


def test_other_frames_and_videos_do_not_match() -> None:
    assert ap(tubelets((3, 0.9, HERE), k=2), truth(HERE)) == 0
    elsewhere = replace(tubelets((1, 0.9, HERE), k=2), videos=("b",))
    assert ap(elsewhere, truth(HERE)) == 0


def test_invalid_arguments_are_rejected() -> None:
    with pytest.raises(ValueError, match="found has classes"):
        ap(tubelets((1, 0.9, HERE), classes=("sit",)), truth(HERE))
    with pytest.raises(UsageError, match="no width and height for video 'a'"):
        frame_map_act(tubelets((1, 0.9, HERE)), truth(HERE), sizes={}, rate=25)
