import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stadkit import boxes
from stadkit.layers import box_ops


@pytest.mark.parametrize(
    ("a", "b", "iou", "giou"),
    [
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7, 1 / 7 - 2 / 9),
        ((0, 0, 1, 1), (2, 0, 3, 1), 0, -1 / 3),
        ((0, 0, 4, 2), (0, 0, 4, 2), 1, 1),
        ((0, 0, 4, 4), (1, 1, 3, 3), 1 / 4, 1 / 4),
    ],
)
def test_overlap_by_hand(
    a: tuple[float, ...], b: tuple[float, ...], iou: float, giou: float
) -> None:
    one, other = torch.tensor(a).float(), torch.tensor(b).float()
    assert box_ops.iou(one, other).item() == pytest.approx(iou)
    assert box_ops.giou(one, other).item() == pytest.approx(giou)


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_iou_agrees_with_stadkit_boxes(seed: int) -> None:
    corners = np.random.default_rng(seed).uniform(0, 9, (2, 5, 2, 2)).astype(np.float32)
    a, b = np.sort(corners, axis=2).reshape(2, 5, 4)
    one, other = torch.from_numpy(a)[:, None], torch.from_numpy(b)[None]
    np.testing.assert_allclose(box_ops.iou(one, other), boxes.iou(a, b), atol=1e-5)
    np.testing.assert_allclose(box_ops.giou(one, other), boxes.giou(a, b), atol=1e-5)


def test_empty_boxes_have_finite_values_and_gradients() -> None:
    flat = torch.tensor([3.0, 3, 3, 3], requires_grad=True)
    value = box_ops.giou(flat, torch.tensor([3.0, 3, 3, 3]))
    value.backward()
    assert flat.grad is not None
    assert torch.isfinite(value)
    assert torch.isfinite(flat.grad).all()
