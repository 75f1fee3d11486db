"""Merging boxes of one person and frame, by hand: IoU of 1 x 2 and 1 x 1 boxes is 1 / 2."""

import numpy as np

from stadkit.linking.track import merge

Box = tuple[float, float]  # from, to; 1 high


def keepers(
    *boxes: Box,
    rank: list[float],
    frame: list[int] | None = None,
    chain: list[int] | None = None,
    max_iou: float = 0.49,
) -> list[int]:
    n = len(boxes)
    return merge(
        np.array(frame or [0] * n),
        np.array([(a, 0, b, 1) for a, b in boxes], np.float64),
        np.array(rank),
        np.array(chain or [-1] * n),
        max_iou,
    ).tolist()


def test_the_better_box_represents_both() -> None:
    assert keepers((0, 2), (0, 1), rank=[0.4, 0.6]) == [1, 1]
    assert keepers((0, 2), (0, 1), rank=[0.6, 0.4]) == [0, 0]


def test_ties_prefer_the_earlier_row() -> None:
    assert keepers((0, 2), (0, 1), (0, 2), rank=[0.5, 0.5, 0.5]) == [0, 0, 0]


def test_the_iou_must_exceed_the_threshold() -> None:
    assert keepers((0, 2), (0, 1), rank=[0.6, 0.4], max_iou=0.5) == [0, 1]
    assert keepers((0, 2), (0, 2), rank=[0.6, 0.4], max_iou=1.0) == [0, 1]


def test_a_merged_box_merges_no_other() -> None:
    # Each overlaps the next by 3 / 5, and the one after that by 2 / 6.
    assert keepers((0, 4), (1, 5), (2, 6), rank=[0.9, 0.8, 0.7]) == [0, 0, 2]
    assert keepers((0, 4), (1, 5), (2, 6), rank=[0.7, 0.8, 0.9]) == [0, 2, 2]
    assert keepers((0, 4), (1, 5), (2, 6), rank=[0.8, 0.9, 0.7]) == [1, 1, 1]


def test_a_box_between_two_kept_ones_joins_the_better() -> None:
    assert keepers((0, 4), (1, 5), (2, 6), rank=[0.8, 0.7, 0.9]) == [0, 2, 2]


def test_frames_are_independent() -> None:
    boxes: list[Box] = [(0, 2), (0, 2), (0, 2), (0, 1)]
    got = keepers(*boxes, rank=[0.1, 0.9, 0.3, 0.5], frame=[0, 1, 3, 3])
    assert got == [0, 1, 3, 3]


def test_different_chains_are_not_merged() -> None:
    assert keepers((0, 2), (0, 2), rank=[0.6, 0.4], chain=[0, 1]) == [0, 1]
    assert keepers((0, 2), (0, 2), rank=[0.6, 0.4], chain=[1, 1]) == [0, 0]
    # A box of no chain goes to the better of the two.
    assert keepers((0, 2), (0, 2), (0, 2), rank=[0.6, 0.7, 0.1], chain=[0, 1, -1]) == [0, 1, 1]


def test_no_rows_and_a_single_row() -> None:
    nothing = np.zeros(0, np.intp)
    assert merge(nothing, np.zeros((0, 4)), np.zeros(0), nothing, 0.7).tolist() == []
    assert keepers((0, 2), rank=[0.5]) == [0]
