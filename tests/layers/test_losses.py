import math

import pytest
import torch

from stadkit.layers import losses


@pytest.mark.parametrize(
    ("target", "loss"), [(1, 0.25 * 0.25 * math.log(2)), (0, 0.75 * 0.25 * math.log(2))]
)
def test_focal_loss_at_probability_one_half(target: int, loss: float) -> None:
    got = losses.focal_loss(torch.zeros(1), torch.tensor([target]))
    assert got.item() == pytest.approx(loss)


def test_focal_loss_is_cross_entropy_without_focus() -> None:
    logit, target = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0])
    got = losses.focal_loss(logit, target, alpha=0.5, gamma=0)
    assert torch.allclose(got, 0.5 * torch.log1p(torch.exp(-logit)))


def test_focal_loss_is_float32_for_bfloat16_logits() -> None:
    got = losses.focal_loss(torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2))
    assert got.dtype == torch.float32


def test_box_losses_by_hand() -> None:
    box, truth = torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 1, 3, 3]])
    assert losses.giou_loss(box, truth).item() == pytest.approx(1 - 1 / 7 + 2 / 9)
    assert losses.iou_loss(box, truth).item() == pytest.approx(math.log(7))


def test_disjoint_boxes_have_a_gradient_with_giou_only() -> None:
    box = torch.tensor([[0.0, 0, 1, 1]], requires_grad=True)
    truth = torch.tensor([[5.0, 0, 6, 1]])
    (towards,) = torch.autograd.grad(losses.giou_loss(box, truth).sum(), box)
    (none,) = torch.autograd.grad(losses.iou_loss(box, truth).sum(), box)
    assert towards[0, 2] < 0  # growing to the right reduces the loss
    assert none.abs().max() == 0


def test_cross_entropy_is_a_mean_over_known_labels() -> None:
    logit = torch.zeros(2, 3)
    truth = torch.tensor([[1.0, 0, torch.nan], [1, 1, 0]])
    assert losses.known_cross_entropy(logit, truth).item() == pytest.approx(math.log(2))
    far = torch.tensor([[100.0, 0, 0], [0, 0, 0]])
    assert losses.known_cross_entropy(far, truth).item() == pytest.approx(math.log(2) * 4 / 5)
    nothing = losses.known_cross_entropy(far, torch.full((2, 3), torch.nan))
    assert nothing.item() == 0


def test_float64_is_kept() -> None:
    exact, box = torch.zeros(2).double(), torch.rand(2, 4).double()
    got = [
        losses.known_cross_entropy(exact, torch.ones(2)),
        losses.focal_loss(exact, torch.tensor([True, False])),
        losses.giou_loss(box, box),
        losses.iou_loss(box, box),
    ]
    assert {loss.dtype for loss in got} == {torch.float64}
