"""Targets validate their shapes and are padded to rows."""

import pytest
import torch

from stadkit.models.targets import Targets, TubeTargets, pad_targets


def test_targets_check_their_shapes() -> None:
    with pytest.raises(ValueError, match=r"Targets.box has shape \(4,\)"):
        Targets(torch.zeros(4), torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"Targets.action has shape \(2, 3\), wants \[1, C\]"):
        Targets(torch.zeros(1, 4), torch.zeros(2, 3))


def test_padding_to_rows() -> None:
    box = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    two, none = Targets(box, torch.ones(2, 3)), Targets(torch.zeros(0, 4), torch.zeros(0, 3))
    rows, boxes, actions = pad_targets([none, two], torch.zeros(1, dtype=torch.float64))
    assert rows.tolist() == [[False, False], [True, True]]
    assert boxes.shape == (2, 2, 4)
    assert boxes[1].tolist() == box.tolist()
    assert actions.shape == (2, 2, 3)
    assert boxes.dtype == actions.dtype == torch.float64


@pytest.mark.parametrize(
    ("box", "there", "action", "words"),
    [
        ((2, 3), (2, 3), (2, 5), r"TubeTargets.box has shape \(2, 3\), wants \[n, T, 4\]"),
        ((2, 3, 5), (2, 3), (2, 5), r"TubeTargets.box has shape \(2, 3, 5\)"),
        ((2, 3, 4), (2, 4), (2, 5), r"TubeTargets.there has shape \(2, 4\), wants \[2, 3\]"),
        ((2, 3, 4), (2, 3), (1, 5), r"TubeTargets.action has shape \(1, 5\), wants \[2, C\]"),
        ((2, 3, 4), (2, 3), (2,), r"TubeTargets.action has shape \(2,\), wants"),
    ],
)
def test_tubes_check_their_shapes(
    box: tuple[int, ...], there: tuple[int, ...], action: tuple[int, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        TubeTargets(torch.zeros(box), torch.ones(there), torch.zeros(action))


def test_everyone_in_tubes_is_present_in_some_frame() -> None:
    nan = float("nan")
    there = torch.tensor([[0.0, 1, nan], [nan, 0, nan]])
    TubeTargets(torch.zeros(1, 3, 4), there[:1], torch.zeros(1, 2))
    TubeTargets(torch.zeros(0, 3, 4), there[:0], torch.zeros(0, 2))
    with pytest.raises(ValueError, match=r"TubeTargets\.there has no 1 in row 1"):
        TubeTargets(torch.zeros(2, 3, 4), there, torch.zeros(2, 2))
