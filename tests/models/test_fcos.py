"""FCOS: points, boxes and levels by hand; initial values of the head."""

import pytest
import torch

from stadkit.models.fcos import Fcos, points


def test_points_are_cell_centres_row_by_row() -> None:
    assert points(2, 3, 8).tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


@pytest.mark.parametrize(("distance", "reach"), [("relu", 8.0), ("exp", 2.718281828)])
def test_boxes_around_points(distance: str, reach: float) -> None:
    head = Fcos(4, 1, 2, 2, distance)
    torch.nn.init.zeros_(head.reg.weight)
    torch.nn.init.ones_(head.reg.bias)  # type: ignore[arg-type]
    with torch.no_grad():
        head.scale[1] = 2
        dense = head([torch.randn(1, 4, 1, 2), torch.randn(1, 4, 1, 1)], (8, 16))
    assert dense.level.tolist() == [0, 0, 1]
    assert dense.stride.tolist() == [8, 8, 16]
    assert dense.point.tolist() == [[4, 4], [12, 4], [8, 8]]
    far = 32.0 if distance == "relu" else reach**2  # twice as far, at a stride of 16
    want = torch.tensor(
        [
            [4 - reach, 4 - reach, 4 + reach, 4 + reach],
            [12 - reach, 4 - reach, 12 + reach, 4 + reach],
            [8 - far, 8 - far, 8 + far, 8 + far],
        ]
    )
    torch.testing.assert_close(dense.box[0], want)


def test_the_head_starts_with_a_prior_of_one_percent() -> None:
    torch.manual_seed(0)
    dense = Fcos(8, 2, 1, 4)([torch.randn(1, 8, 6, 6)], (8,))
    assert dense.person.sigmoid().mean().item() == pytest.approx(0.01, rel=0.05)
    assert dense.quality.sigmoid().mean().item() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(("tower", "other"), [("reg", "cls"), ("cls", "reg")])
def test_quality_uses_one_tower(tower: str, other: str) -> None:
    head = Fcos(4, 1, 1, 2, quality_tower=tower)
    head([torch.randn(1, 4, 3, 3)], (8,)).quality.sum().backward()
    assert head.get_submodule(f"{tower}_tower")[0].weight.grad is not None  # type: ignore[index]
    assert head.get_submodule(f"{other}_tower")[0].weight.grad is None  # type: ignore[index]


def test_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        dense = Fcos(4, 1, 1, 2)([torch.randn(1, 4, 3, 3)], (8,))
    assert {dense.person.dtype, dense.box.dtype, dense.quality.dtype} == {torch.float32}
