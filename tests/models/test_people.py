import pytest
import torch

from stadkit.models import person_selection


def test_points_in_the_padding_and_boxes_outside_the_frame_are_dropped() -> None:
    # A frame of 20 x 30 (height, width) in a larger clip; points are x y.
    point = torch.tensor([[28.0, 4], [32, 4], [4, 20], [4, 12], [12, 4]])
    box = torch.tensor(
        [[[20.0, 0, 30, 10], [0, 0, 8, 8], [0, 0, 9, 9], [31, 0, 40, 9], [5, 5, 5, 9]]]
    )
    rank = torch.tensor([[0.1, 0.9, 0.9, 0.9, 0.9]])
    index, kept = person_selection.choose(box, point, rank, torch.tensor([[20, 30]]), 3, 0.5)
    assert index[kept].tolist() == [
        0
    ]  # in order: valid, point right of the frame, point below, box outside, empty box
    assert kept.tolist() == [[True, False, False]]


def test_nms_compares_clipped_boxes() -> None:
    # IoU 1 / 3 unclipped; identical once clipped to the frame.
    box = torch.tensor([[[-10.0, 0, 10, 10], [0, 0, 10, 10], [-10, 0, 0, 10]]])
    point, rank = torch.full((3, 2), 4.0), torch.tensor([[0.9, 0.8, 0.7]])
    index, kept = person_selection.choose(box, point, rank, torch.tensor([[20, 20]]), 3, 0.5)
    assert index[kept].tolist() == [0]


def test_proposals_become_rows() -> None:
    boxes = [torch.tensor([[0.0, 0, 0.5, 1]]), torch.zeros(0, 4)]
    person, box = person_selection.from_proposals(boxes, None, torch.tensor([[20, 40], [10, 10]]))
    assert box.tolist() == [[[0, 0, 20, 20]], [[0, 0, 0, 0]]]
    assert person[0].sigmoid().item() == pytest.approx(1, abs=2e-6)
    assert person[0].isfinite().all()
    assert person[1].item() == -torch.inf
    person, _ = person_selection.from_proposals(
        boxes, [torch.tensor([0.25]), torch.zeros(0)], torch.ones(2, 2)
    )
    assert person[0].sigmoid().item() == pytest.approx(0.25)


def test_proposal_mask_marks_padding_if_there_is_any() -> None:
    two, one = torch.zeros(2, 4), torch.zeros(1, 4)
    known = person_selection.proposal_mask([two, one, one[:0]], torch.device("cpu"))
    assert known is not None
    assert known.tolist() == [[True, True], [True, False], [False, False]]
    assert person_selection.proposal_mask([two, two], torch.device("cpu")) is None
    assert person_selection.proposal_mask([one[:0]], torch.device("cpu")) is None


def test_no_boxes_at_all() -> None:
    person, box = person_selection.from_proposals([torch.zeros(0, 4)], None, torch.ones(1, 2))
    assert (person.shape, box.shape) == ((1, 0), (1, 0, 4))
