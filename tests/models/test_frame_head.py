"""The frame head: softmax as independent scores, mixing of several data sets."""

import pytest
import torch

from stadkit.models.frame_head import FINITE, FrameHead, one_vs_rest


def test_the_sigmoid_of_one_vs_rest_logits_is_the_softmax() -> None:
    logits = torch.tensor([[1.0, 2, 5], [7, 7, 7]]).log()
    chance = one_vs_rest(logits).sigmoid()
    torch.testing.assert_close(chance, torch.tensor([[1 / 8, 2 / 8, 5 / 8], [1 / 3] * 3]))
    sure = one_vs_rest(torch.tensor([[90.0, 0, 0]]))
    assert sure.isfinite().all()
    torch.testing.assert_close(sure.sigmoid(), torch.tensor([[1.0, 0, 0]]), atol=FINITE, rtol=0)


def test_a_class_of_two_sources_has_their_mean_probability() -> None:
    head = FrameHead(2, 3, sources=((0, 1), (1, 2)), exclusive=(True, False))
    torch.nn.init.zeros_(head.projection.weight)
    # Exclusive classes: 1/4 and 3/4; independent ones: 1/2 and 3/4.
    bias = torch.tensor([1.0, 3, 1, 3]).log()
    with torch.no_grad():
        head.projection.bias.copy_(bias)
        found = head(torch.randn(5, 2))
    wanted = torch.tensor([1 / 4, (3 / 4 + 1 / 2) / 2, 3 / 4])
    torch.testing.assert_close(found.sigmoid(), wanted.expand(5, 3))


def test_the_gate_selects_the_source_that_a_box_resembles() -> None:
    head = FrameHead(1, 2, sources=((0, 1), (1,)), exclusive=(False, False))
    torch.nn.init.zeros_(head.projection.weight)
    with torch.no_grad():
        head.projection.bias.copy_(torch.tensor([0.0, 3, -3]))
        head.gate.weight.copy_(
            torch.tensor([[0.0], [1]])
        )  # the input is the log odds of the second source
        found = head(torch.tensor([[-9.0], [0], [9]])).sigmoid()
    high, low = 0.9526, 0.0474
    torch.testing.assert_close(found[:, 0], torch.full((3,), 0.5))
    wanted = torch.tensor([high, 0.5, low])
    torch.testing.assert_close(found[:, 1], wanted, atol=1e-3, rtol=0)


def test_descriptors_are_standardized() -> None:
    head = FrameHead(2, 1)
    head.center.copy_(torch.tensor([1.0, 2]))
    head.scale.copy_(torch.tensor([0.5, 2]))
    with torch.no_grad():
        head.projection.weight.copy_(torch.tensor([[4.0, 1]]))
        head.projection.bias.fill_(-1)
        found = head(torch.tensor([[3.0, 2], [1, 3], [1e6, 2]]))
    # 4 * 1 + 0 - 1; 0 + 2 - 1; and the clamp.
    assert found.tolist() == [[3], [1], [14]]


def test_inconsistent_settings() -> None:
    with pytest.raises(ValueError, match="same length, not 2 and 1"):
        FrameHead(2, 3, sources=((0, 1), (2,)), exclusive=(True,))
    with pytest.raises(ValueError, match="each class 0 to 2 at least once"):
        FrameHead(2, 3, sources=((0, 1),), exclusive=(True,))


def test_no_boxes() -> None:
    for sources, exclusive in (((), ()), (((0, 1), (1, 2)), (True, False))):
        assert FrameHead(2, 3, sources, exclusive)(torch.zeros(0, 2)).shape == (0, 3)
