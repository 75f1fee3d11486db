"""Whole-video paths against paths worked by hand, and against trying them all."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.boxes import iou
from stadkit.detections import Detections, Keyframes
from stadkit.linking.viterbi import link_viterbi

LEFT, MIDDLE, RIGHT = (0.0, 0.0, 0.4, 1.0), (0.3, 0.0, 0.7, 1.0), (0.6, 0.0, 1.0, 1.0)
Row = tuple[float, tuple[float, ...], list[float]]  # time, box, score of each class
NAN = float("nan")


def table(*rows: Row, video: str = "a", classes: int = 1) -> Detections:
    return Detections(
        video=np.full(len(rows), video),
        time=np.array([row[0] for row in rows], np.float64),
        box=np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
        person=np.full(len(rows), np.nan, np.float32),
        action=np.array([row[2] for row in rows], np.float32).reshape(-1, classes),
        track=np.full(len(rows), -1, np.int32),
        classes=tuple(f"class {c}" for c in range(classes)),
    )


def test_two_people_are_two_paths_the_better_first() -> None:
    rows: list[Row] = [(t, LEFT, [0.5]) for t in range(3)] + [(t, RIGHT, [0.9]) for t in range(3)]
    tubes = link_viterbi(table(*rows))
    assert tubes.score == pytest.approx([0.9, 0.5])
    assert tubes.start.tolist() == [0, 3, 6]
    assert tubes.time.tolist() == [0, 1, 2, 0, 1, 2]
    assert tubes.box[:3] == pytest.approx(np.array([RIGHT] * 3))
    assert tubes.track.tolist() == [-1, -1]
    assert not tubes.interpolated.any()


def test_overlap_and_scores_are_weighed() -> None:
    # From LEFT (.5): to LEFT (.2) 1 + .7 + .05 = 1.75; to RIGHT (.9) 0 + 1.4 + .225 = 1.625.
    rows: list[Row] = [(0, LEFT, [0.5]), (1, LEFT, [0.2]), (1, RIGHT, [0.9])]
    tubes = link_viterbi(table(*rows))
    assert len(tubes) == 1  # the first keyframe has no other box
    assert tubes.box_score == pytest.approx([0.5, 0.2])
    # To RIGHT (1.0) it is 0 + 1.5 + .25 = 1.75 and to LEFT (.15) 1 + .65 + .0375 = 1.6875.
    rows = [(0, LEFT, [0.5]), (1, LEFT, [0.15]), (1, RIGHT, [1.0])]
    assert link_viterbi(table(*rows)).box_score == pytest.approx([0.5, 1.0])


def test_a_keyframe_without_boxes_copies_the_nearest() -> None:
    found = table((1, LEFT, [0.5]), (4, MIDDLE, [0.75]))
    keyframes = Keyframes(np.full(6, "a"), np.arange(6.0))
    tubes = link_viterbi(found, keyframes)
    assert tubes.time.tolist() == [0, 1, 2, 3, 4, 5]
    assert tubes.box_score == pytest.approx([0.5, 0.5, 0.5, 0.75, 0.75, 0.75])
    assert tubes.interpolated.tolist() == [True, False, True, True, False, True]
    between = Keyframes(np.full(3, "a"), np.array([1.0, 2.5, 4.0]))
    assert link_viterbi(found, between).box_score == pytest.approx([0.5, 0.5, 0.75])


def test_classes_have_paths_of_their_own() -> None:
    # Class 1 has a box at LEFT only, and none at the second keyframe.
    rows: list[Row] = [
        (0, LEFT, [0.5, 0.7]),
        (0, RIGHT, [0.6, NAN]),
        (1, LEFT, [0.5, NAN]),
        (1, RIGHT, [0.6, NAN]),
        (2, LEFT, [0.5, 0.8]),
    ]
    tubes = link_viterbi(table(*rows, classes=2))
    assert tubes.label.tolist() == [0, 1]
    # Ending at LEFT, the whole path there has 3.25 + ... of energy, more than one that changes.
    assert tubes.box[:3] == pytest.approx(np.array([LEFT] * 3))
    assert tubes.box_score[3:] == pytest.approx([0.7, 0.7, 0.8])
    assert tubes.interpolated[3:].tolist() == [False, True, False]


def test_videos_do_not_mix_and_empty_ones_have_no_tubes() -> None:
    parts = [table((0, LEFT, [0.5]), video="b"), table((0, RIGHT, [0.7]), video="a")]
    keyframes = Keyframes(np.array(["c", "b", "a"]), np.zeros(3))
    tubes = link_viterbi(Detections.join(parts, ("class 0",)), keyframes)
    assert tubes.video.tolist() == ["a", "b"]
    assert tubes.score == pytest.approx([0.7, 0.5])


def test_nothing_found() -> None:
    assert len(link_viterbi(table())) == 0
    assert len(link_viterbi(table(), Keyframes(np.array(["a"]), np.zeros(1)))) == 0


def test_a_nan_score_is_not_a_box() -> None:
    assert len(link_viterbi(table((0, LEFT, [NAN]), (1, LEFT, [NAN])))) == 0


def energy(path: tuple[int, ...], rows: list[list[Row]]) -> float:
    boxes = [np.array([part[i][1]]) for i, part in zip(path, rows, strict=True)]
    scores = [part[i][2][0] for i, part in zip(path, rows, strict=True)]
    return sum(
        float(iou(boxes[i], boxes[i + 1])[0, 0])
        + scores[i]
        + scores[i + 1]
        + 0.5 * scores[i] * scores[i + 1]
        for i in range(len(rows) - 1)
    )


@given(st.integers(0, 10_000))
def test_the_first_path_is_the_best_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows: list[list[Row]] = []
    for time in range(rng.integers(2, 5)):
        corners = rng.random((rng.integers(1, 4), 2, 2)).astype(np.float32)
        corners.sort(axis=1)
        rows.append(
            [
                (time, tuple(box.ravel().tolist()), [float(np.float32(rng.random()))])
                for box in corners
            ]
        )
    tubes = link_viterbi(table(*itertools.chain(*rows)))
    assert len(tubes) == min(len(part) for part in rows)
    best = max(
        energy(path, rows) for path in itertools.product(*(range(len(part)) for part in rows))
    )
    first = tubes.select(np.array([0]))
    chosen = [
        next(i for i, row in enumerate(part) if np.allclose(row[1], box))
        for part, box in zip(rows, first.box, strict=True)
    ]
    assert energy(tuple(chosen), rows) == pytest.approx(best)
