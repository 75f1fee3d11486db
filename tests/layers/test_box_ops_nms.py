import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stadkit import boxes
from stadkit.layers.box_ops import nms


def test_overlapping_lower_scored_boxes_are_suppressed() -> None:
    box = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [0, 0, 10, 2]]])
    score = torch.tensor([[0.5, 0.9, 0.1, 0.4]])
    index, kept = nms(box, score, 0.5, 4)
    assert index[kept].tolist() == [1, 3, 2]  # IoU of 0 and 1 is .9, of 1 and 3 is 2 / 9
    assert kept.tolist() == [[True, True, True, False]]


def test_clips_are_independent_and_excluded_rows_stay_excluded() -> None:
    box = torch.tensor([[0.0, 0, 1, 1]]).repeat(2, 1, 1)
    score = torch.tensor([[0.3], [-torch.inf]])
    index, kept = nms(box, score, 0.5, 2)
    assert kept.tolist() == [[True, False], [False, False]]
    assert index.tolist() == [[0, 0], [0, 0]]


def test_nan_scores_are_excluded() -> None:
    box = torch.tensor([[[0.0, 0, 1, 1], [5, 5, 6, 6]]])
    index, kept = nms(box, torch.tensor([[torch.nan, 0.2]]), 0.5, 2)
    assert index[kept].tolist() == [1]


@pytest.mark.parametrize(("boxes_", "most"), [(0, 3), (2, 0)])
def test_no_boxes_or_most_0(boxes_: int, most: int) -> None:
    index, kept = nms(torch.zeros(2, boxes_, 4), torch.zeros(2, boxes_), 0.5, most)
    assert index.shape == kept.shape == (2, most)
    assert not kept.any()


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1), st.sampled_from([0.1, 0.3, 0.7]))
def test_same_boxes_as_greedy_suppression(seed: int, max_iou: float) -> None:
    random = np.random.default_rng(seed)
    corner, side = random.uniform(0, 20, (12, 2)), random.uniform(1, 12, (12, 2))
    box = np.concatenate([corner, corner + side], 1).astype(np.float32)
    score = random.choice([0.1, 0.2, 0.3, 0.4], 12).astype(np.float32)  # with ties
    index, kept = nms(torch.from_numpy(box)[None], torch.from_numpy(score)[None], max_iou, 12)
    assert index[kept].tolist() == boxes.nms(box, score, max_iou).tolist()
