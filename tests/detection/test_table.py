"""Model outputs -> rows, worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from stadkit.detection import to_table, to_tubelets
from stadkit.detection.table import stack
from stadkit.detections import Detections
from stadkit.errors import StadkitError
from stadkit.linking import link
from stadkit.models import Outputs
from stadkit.video.clips import Clip

CLIP = Clip("v", np.zeros((1, 4, 4, 3), np.uint8), 1.5, np.zeros(1), (4, 4))
BOXES = [[0.1, 0.2, 0.3, 0.4], [-0.5, -0.5, 0.5, 1.5], [1.1, 0.0, 1.5, 1.0], [0.0, 0.0, 1.0, 1.0]]


def outputs(*person: float) -> Outputs:
    n = len(person)
    box = torch.tensor(BOXES[:n])[None, :, None]
    return Outputs(torch.tensor([person]), box, torch.zeros(1, n, 2))


def test_best_first_clipped_and_without_empty_boxes() -> None:
    (table,) = to_table(outputs(0.0, 2.0, 5.0, -9.0), [CLIP], ("a", "b"), 0.4)
    assert table.video.tolist() == ["v", "v"]
    assert table.time.tolist() == [1.5, 1.5]
    np.testing.assert_allclose(table.person, [0.8808, 0.5], atol=1e-4)
    np.testing.assert_allclose(table.box, [[0, 0, 0.5, 1], [0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_allclose(table.action, 0.5)
    assert table.track.tolist() == [-1, -1]


def test_no_person_is_an_empty_table_and_top_k_applies_last() -> None:
    assert len(to_table(outputs(-5.0, -4.0), [CLIP], ("a", "b"), 0.4)[0]) == 0
    (table,) = to_table(outputs(0.0, 1.0, 5.0), [CLIP], ("a", "b"), 0.4, top_k=1)
    np.testing.assert_allclose(table.box, [[0, 0, 0.5, 1]])


def test_padding_rows_are_dropped_at_threshold_zero() -> None:
    (table,) = to_table(outputs(0.0, -float("inf")), [CLIP], ("a", "b"), 0.0)
    assert len(table) == 1


def test_the_middle_box_of_a_tubelet_is_used() -> None:
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


def test_batches_of_different_width_stack() -> None:
    both = stack(outputs(0.0), outputs(1.0, 2.0, 3.0))
    assert both.person.tolist() == [[0.0, -torch.inf, -torch.inf], [1.0, 2.0, 3.0]]
    assert both.box.shape == (2, 3, 1, 4)


def tubelet_clip(begin: float) -> Clip:
    times = begin + np.arange(4) * 0.25
    return Clip("v", np.zeros((4, 4, 4, 3), np.uint8), float(times[2]), times, (4, 4))


def test_rows_of_a_tubelet_share_a_track_and_link_to_one_person() -> None:
    """Two clips overlapping by half: one person in both, another and a padding row in the first."""
    stays = torch.tensor([0.1, 0.2, 0.3, 0.8]).expand(4, 4)
    other = torch.tensor([0.6, 0.2, 0.8, 0.8]).expand(4, 4)
    box = torch.stack([torch.stack([other, stays, stays]), torch.stack([stays, other, other])])
    person = torch.tensor([[1.0, 3.0, -9.0], [2.0, -9.0, -9.0]])
    tubelets = Outputs(person, box, torch.zeros(2, 3, 2))
    tables = to_tubelets(tubelets, [tubelet_clip(0.0), tubelet_clip(0.5)], ("a", "b"), 0.4, first=5)
    assert [len(table) for table in tables] == [8, 4]
    table = Detections.join(tables, ("a", "b"))
    assert table.track.tolist() == [5] * 4 + [6] * 4 + [7] * 4
    assert table.time.tolist() == [0, 0.25, 0.5, 0.75] * 2 + [0.5, 0.75, 1.0, 1.25]
    np.testing.assert_allclose(table.box[:4], [[0.1, 0.2, 0.3, 0.8]] * 4)
    np.testing.assert_allclose(table.person[[0, 4, 8]], [0.9526, 0.7311, 0.8808], atol=1e-4)
    linked = link(table)
    assert linked.found.track.tolist() == [0] * 4 + [1] * 4 + [0] * 4
    assert sorted(np.diff(linked.tubes.start).tolist()) == [4, 4, 6, 6]


def test_repeated_frames_of_a_tubelet_have_one_row() -> None:
    times = np.array([0.0, 0.0, 0.0, 0.25])
    clip = Clip("v", np.zeros((4, 4, 4, 3), np.uint8), 0.0, times, (4, 4))
    box = torch.tensor([0.1, 0.2, 0.3, 0.8]).expand(1, 1, 4, 4)
    tubelets = Outputs(torch.ones(1, 1), box, torch.zeros(1, 1, 1))
    (table,) = to_tubelets(tubelets, [clip], ("a",), 0.4)
    assert table.time.tolist() == [0.0, 0.25]


def test_frames_with_low_presence_have_no_row() -> None:
    """Logits 2 and -2 are .88 and .12; a row's score is multiplied by its presence."""
    box = torch.tensor([0.1, 0.2, 0.3, 0.8]).expand(1, 2, 4, 4)
    presence = torch.tensor([[[2.0, -2.0, 2.0, 2.0], [9.0, 9.0, 9.0, -9.0]]])
    person = torch.tensor([[3.0, 1.0]])
    tubelets = Outputs(person, box, torch.zeros(1, 2, 1), presence)
    (table,) = to_tubelets(tubelets, [tubelet_clip(0.0)], ("a",), 0.4)
    assert table.track.tolist() == [0, 0, 0, 1, 1, 1]
    assert table.time.tolist() == [0, 0.5, 0.75, 0, 0.25, 0.5]
    np.testing.assert_allclose(table.person[[0, 3]], [0.9526 * 0.8808, 0.7311], atol=2e-4)
    (best,) = to_tubelets(tubelets, [tubelet_clip(0.0)], ("a",), 0.4, top_k=1)
    assert set(best.track.tolist()) == {0}
    (key,) = to_table(tubelets, [tubelet_clip(0.0)], ("a",), 0.5)
    np.testing.assert_allclose(key.person, [0.9526 * 0.8808, 0.7311], atol=2e-4)


def test_the_best_row_of_a_repeated_frame_is_kept() -> None:
    """The first of three repeats has an empty box, the second has low presence."""
    times = np.array([0.0, 0.0, 0.0, 0.25])
    clip = Clip("v", np.zeros((4, 4, 4, 3), np.uint8), 0.0, times, (4, 4))
    box = torch.tensor([0.1, 0.2, 0.3, 0.8]).repeat(1, 1, 4, 1)
    box[0, 0, 0] = 0.0
    box[0, 0, 2, 0] = 0.2
    presence = torch.tensor([[[9.0, -1.0, 2.0, 2.0]]])
    tubelets = Outputs(torch.ones(1, 1), box, torch.zeros(1, 1, 1), presence)
    (table,) = to_tubelets(tubelets, [clip], ("a",), 0.4)
    assert table.time.tolist() == [0.0, 0.25]
    np.testing.assert_allclose(table.box[0], [0.2, 0.2, 0.3, 0.8])


@pytest.mark.parametrize("make", [to_table, to_tubelets])
@pytest.mark.parametrize("where", ["box", "present"])
def test_nan_in_any_frame_of_a_tubelet_is_an_error(make: Any, where: str) -> None:
    parts = {"box": torch.rand(1, 1, 4, 4), "present": torch.ones(1, 1, 4)}
    parts[where][0, 0, 3] = torch.nan
    tubelets = Outputs(torch.ones(1, 1), action=torch.zeros(1, 1, 1), **parts)
    with pytest.raises(StadkitError, match="NaN"):
        make(tubelets, [tubelet_clip(0.0)], ("a",), 0.4)
