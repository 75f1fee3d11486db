"""Targets say what is wrong with them, and become rows."""

import pytest
import torch

from stadkit.models.targets import Targets, pad_targets


def test_targets_check_their_shapes() -> None:
    with pytest.raises(ValueError, match=r"Targets.box has shape \(4,\)"):
        Targets(torch.zeros(4), torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"Targets.action has shape \(2, 3\), wants \[1, C\]"):
        Targets(torch.zeros(1, 4), torch.zeros(2, 3))


def test_rows_of_a_batch() -> None:
    box = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    two, none = Targets(box, torch.ones(2, 3)), Targets(torch.zeros(0, 4), torch.zeros(0, 3))
    rows, boxes, actions = pad_targets([none, two], torch.zeros(1, dtype=torch.float64))
    assert rows.tolist() == [[False, False], [True, True]]
    assert boxes.shape == (2, 2, 4)
    assert boxes[1].tolist() == box.tolist()
    assert actions.shape == (2, 2, 3)
    assert boxes.dtype == actions.dtype == torch.float64
