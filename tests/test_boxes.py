"""Box geometry against numbers worked by hand and against one-box-at-a-time loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stadkit import boxes

Floats = NDArray[np.float64]

corner = st.integers(0, 12)
side = st.integers(1, 8)
box = st.tuples(corner, corner, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
some_boxes = st.lists(box, min_size=1, max_size=6).map(lambda rows: np.array(rows, np.float64))


def cells(a: Floats) -> set[tuple[int, int]]:
    """The unit squares of a box with whole corners."""
    x1, y1, x2, y2 = a.astype(int).tolist()
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


def test_area() -> None:
    # The third is inverted in x, the fourth in both: neither may come out as 4 by sign.
    rows = [[0, 0, 2, 3], [1, 1, 1, 5], [3, 0, 1, 2], [3, 3, 1, 1]]
    assert boxes.area(np.array(rows, np.float64)).tolist() == [6, 0, 0, 0]


def test_iou_by_hand() -> None:
    a = np.array([[0, 0, 2, 2]], np.float32)
    b = np.array(
        [[0, 0, 2, 2], [1, 0, 3, 2], [1, 1, 3, 3], [2, 0, 4, 2], [0, 0, 1, 2], [5, 5, 6, 6]],
        np.float32,
    )
    want = [1, 2 / 6, 1 / 7, 0, 1 / 2, 0]
    assert boxes.iou(a, b)[0] == pytest.approx(want)
    assert boxes.iou(a, b).dtype == np.float32


def test_giou_by_hand() -> None:
    a = np.array([[0, 0, 2, 2]], np.float64)
    b = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2], [3, 0, 4, 2]], np.float64)
    # Second: union 7 in a hull of 9. Third: side by side fill their hull. Fourth: 6 of 8.
    want = [1, 1 / 7 - 2 / 9, 0, 0 - 2 / 8]
    assert boxes.giou(a, b)[0] == pytest.approx(want)


def test_boxes_without_area_do_not_divide_by_zero() -> None:
    point = np.array([[1, 1, 1, 1]], np.float64)
    assert boxes.iou(point, point).tolist() == [[0]]
    assert boxes.giou(point, point).tolist() == [[0]]
    assert boxes.giou(point, point + 1).tolist() == [[-1]]


@given(some_boxes, some_boxes)
def test_overlaps_equal_counted_cells(a: Floats, b: Floats) -> None:
    shared, overlap, general = boxes.intersection(a, b), boxes.iou(a, b), boxes.giou(a, b)
    for i, j in np.ndindex(len(a), len(b)):
        both, either = cells(a[i]) & cells(b[j]), cells(a[i]) | cells(b[j])
        low, high = np.minimum(a[i], b[j])[:2], np.maximum(a[i], b[j])[2:]
        hull = float((high - low).prod())
        assert shared[i, j] == len(both)
        assert overlap[i, j] == pytest.approx(len(both) / len(either))
        assert general[i, j] == pytest.approx(len(both) / len(either) - (hull - len(either)) / hull)


@given(some_boxes, some_boxes)
def test_overlaps_are_symmetric_and_bounded(a: Floats, b: Floats) -> None:
    overlap, general = boxes.iou(a, b), boxes.giou(a, b)
    np.testing.assert_allclose(overlap, boxes.iou(b, a).T)
    np.testing.assert_allclose(general, boxes.giou(b, a).T)
    assert (overlap >= 0).all()
    assert (overlap <= 1).all()
    assert (general > -1).all()
    assert (general <= overlap + 1e-12).all()


def test_nms_by_hand() -> None:
    # 1 and 0 share a third (gone above .3); 2 touches nobody; 3 equals 1 in all but its row.
    rows = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [9, 9, 10, 10], [1, 0, 3, 2]], np.float64)
    score = np.array([0.5, 0.9, 0.1, 0.9])
    assert boxes.nms(rows, score, 0.3).tolist() == [1, 2]
    assert boxes.nms(rows, score, 0.34).tolist() == [1, 0, 2]
    assert boxes.nms(rows, score, 1.0).tolist() == [1, 3, 0, 2]


def test_nms_keeps_at_exactly_the_threshold() -> None:
    rows = np.array([[0, 0, 2, 1], [0, 0, 1, 1]], np.float64)  # IoU one half
    assert boxes.nms(rows, np.array([1.0, 0.5]), 0.5).tolist() == [0, 1]


def test_nms_of_no_boxes() -> None:
    assert boxes.nms(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


@given(some_boxes, st.data(), st.sampled_from([0.0, 0.2, 0.5, 0.9]))
def test_nms_equals_the_loop(rows: Floats, data: st.DataObject, max_iou: float) -> None:
    score = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows))))
    score = score / 4
    kept: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: (-score[i], i)):
        if all(boxes.iou(rows[[i]], rows[[j]])[0, 0] <= max_iou for j in kept):
            kept.append(i)
    assert boxes.nms(rows, score, max_iou).tolist() == kept


def test_clip() -> None:
    rows = np.array([[-1, -2, 3, 4], [5, 5, 9, 9], [1, 1, 2, 2]], np.float32)
    assert boxes.clip(rows, 2, 3).tolist() == [[0, 0, 2, 3], [2, 3, 2, 3], [1, 1, 2, 2]]
    assert boxes.clip(rows).tolist()[0] == [0, 0, 1, 1]
    assert boxes.clip(rows).dtype == np.float32
    assert rows[0].tolist() == [-1, -2, 3, 4]  # something new comes back


def test_scale_and_back() -> None:
    rows = np.array([[0.25, 0.5, 0.75, 1.0]], np.float32)
    pixels = boxes.scale(rows, 640, 360)
    assert pixels.tolist() == [[160, 180, 480, 360]]
    assert boxes.scale(pixels, 1 / 640, 1 / 360) == pytest.approx(rows)


def test_enlarge() -> None:
    rows = np.array([[10, 20, 20, 40]], np.float64)
    assert boxes.enlarge(rows, 0.4).tolist() == [[8, 16, 22, 44]]
    assert boxes.enlarge(rows, 0.0).tolist() == rows.tolist()
    assert boxes.enlarge(rows, -1.0).tolist() == [[15, 30, 15, 30]]
    assert boxes.enlarge(rows.astype(np.float32), 0.4).dtype == np.float32
