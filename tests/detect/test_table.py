"""Outputs become rows; hand-worked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stadkit.detect import to_table
from stadkit.detect.table import stack
from stadkit.errors import StadkitError
from stadkit.models import Outputs
from stadkit.video.clips import Clip

CLIP = Clip("v", np.zeros((1, 4, 4, 3), np.uint8), 1.5, np.zeros(1), (4, 4))
BOXES = [[0.1, 0.2, 0.3, 0.4], [-0.5, -0.5, 0.5, 1.5], [1.1, 0.0, 1.5, 1.0], [0.0, 0.0, 1.0, 1.0]]


def outputs(*person: float) -> Outputs:
    n = len(person)
    box = torch.tensor(BOXES[:n])[None, :, None]
    return Outputs(torch.tensor([person]), box, torch.zeros(1, n, 2))


def test_best_first_cut_to_the_frame_and_no_empty_box() -> None:
    (table,) = to_table(outputs(0.0, 2.0, 5.0, -9.0), [CLIP], ("a", "b"), 0.4)
    assert table.video.tolist() == ["v", "v"]
    assert table.time.tolist() == [1.5, 1.5]
    np.testing.assert_allclose(table.person, [0.8808, 0.5], atol=1e-4)
    np.testing.assert_allclose(table.box, [[0, 0, 0.5, 1], [0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_allclose(table.action, 0.5)
    assert table.track.tolist() == [-1, -1]


def test_nobody_is_an_empty_table_and_top_k_counts_after_the_rest() -> None:
    assert len(to_table(outputs(-5.0, -4.0), [CLIP], ("a", "b"), 0.4)[0]) == 0
    (table,) = to_table(outputs(0.0, 1.0, 5.0), [CLIP], ("a", "b"), 0.4, top_k=1)
    np.testing.assert_allclose(table.box, [[0, 0, 0.5, 1]])


def test_rows_that_are_nobody_stay_out_at_threshold_zero() -> None:
    (table,) = to_table(outputs(0.0, -float("inf")), [CLIP], ("a", "b"), 0.0)
    assert len(table) == 1


def test_of_a_tubelet_the_middle_box_counts() -> None:
    box = torch.rand(1, 1, 5, 4)
    box[0, 0, 2] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    (table,) = to_table(Outputs(torch.ones(1, 1), box, torch.zeros(1, 1, 1)), [CLIP], ("a",), 0.1)
    np.testing.assert_allclose(table.box, [[0.1, 0.2, 0.3, 0.4]])


@pytest.mark.parametrize("which", ["person", "box", "action"])
def test_nan_is_an_error_not_an_empty_keyframe(which: str) -> None:
    out = outputs(0.0, 1.0)
    getattr(out, which)[:] = float("nan")
    with pytest.raises(StadkitError, match="NaN"):
        to_table(out, [CLIP], ("a", "b"), 0.4)


def test_batches_of_unlike_width_stack() -> None:
    both = stack(outputs(0.0), outputs(1.0, 2.0, 3.0))
    assert both.person.tolist() == [[0.0, -torch.inf, -torch.inf], [1.0, 2.0, 3.0]]
    assert both.box.shape == (2, 3, 1, 4)
