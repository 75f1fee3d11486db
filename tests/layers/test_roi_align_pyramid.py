"""RoIAlign on a pyramid: levels by hand, values against plain loops."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from stadkit.layers import roi_align as module
from stadkit.layers.roi_align import Cells, roi_align

STRIDES = (4, 8, 16, 32)


def pyramid_roi_align(
    maps: Sequence[Tensor],
    boxes: Tensor,
    index: Tensor,
    size: int,
    strides: Sequence[float],
    sampling: int,
) -> Tensor:
    """Pool with `Cells`, in the layout of `roi_align`: [n, D, size, size]."""
    cut = Cells(maps, strides).cut(boxes, index, size, sampling)
    return cut.view(len(boxes), size, size, cut.shape[2]).permute(0, 3, 1, 2)


def named_maps(side: int = 320) -> list[Tensor]:
    """Maps filled with the number of their level, 2 to 5."""
    return [torch.full((1, 1, side // s, side // s), 2.0 + i) for i, s in enumerate(STRIDES)]


def made_maps(clips: int = 2) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    shapes = [(160 // s + i % 2, 96 // s + i) for i, s in enumerate(STRIDES)]
    return [torch.randn(clips, 3, h, w, generator=random).double() for h, w in shapes]


def level(wide: float, high: float) -> int:
    """The published rule, in float32 as in Detectron2."""
    side = torch.tensor(wide * high).sqrt()
    return int(torch.floor(4 + torch.log2(side / 224 + 1e-8)).clamp(2, 5))


def bilinear(image: Tensor, y: float, x: float) -> Tensor:
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros(len(image)).double()
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    total = torch.zeros(len(image)).double()
    for i, p in ((top, 1 - y + top), (min(top + 1, height - 1), y - top)):
        for j, q in ((left, 1 - x + left), (min(left + 1, width - 1), x - left)):
            total += p * q * image[:, i, j]
    return total


def cell(image: Tensor, box: list[float], row: int, column: int, size: int, samples: int) -> Tensor:
    """One bin of a box in cells of an image [D, h, w], sample by sample."""
    high, wide = (box[3] - box[1]) / size, (box[2] - box[0]) / size
    total = torch.zeros(len(image)).double()
    for a in range(samples):
        for b in range(samples):
            y = box[1] - 0.5 + (row + (a + 0.5) / samples) * high
            x = box[0] - 0.5 + (column + (b + 0.5) / samples) * wide
            total += bilinear(image, y, x)
    return total / samples**2


@pytest.mark.parametrize(
    ("side", "want"),
    [(10, 2), (111.9, 2), (112, 3), (223.9, 3), (224, 4), (447.9, 4), (448, 5), (5000, 5), (0, 2)],
)
def test_level_by_box_size(side: float, want: int) -> None:
    box = torch.tensor([[100.0, 100, 100 + side, 100 + side]])
    got = pyramid_roi_align(named_maps(), box, torch.tensor([0]), 1, STRIDES, 1)
    beyond = side > 2 * (320 + 32 - 100)  # the box centre is outside the map
    assert got.item() == (0 if beyond else want)


def test_the_level_depends_on_the_area_and_not_on_a_side() -> None:
    box = torch.tensor([[0.0, 0, 320, 10]])  # the area of a square of 57 pixels
    got = pyramid_roi_align(named_maps(), box, torch.tensor([0]), 1, STRIDES, 1)
    assert got.item() == 2


def test_smaller_strides_have_lower_levels() -> None:
    # Strides 2 to 16 are levels 1 to 4: 100 pixels are pooled at stride 4, 30 at 2, 500 at 16.
    sides = torch.tensor([30.0, 100, 500])
    box = torch.stack([sides * 0, sides * 0, sides, sides], 1)
    index = torch.zeros(3).long()
    got = pyramid_roi_align(named_maps(640), box, index, 1, (2, 4, 8, 16), 1)
    assert got.flatten().tolist() == [2, 3, 5]


def test_two_samples_of_a_ramp_by_hand() -> None:
    maps = [torch.arange(8.0).expand(1, 1, 8, 8), *named_maps(32)[1:]]
    box = torch.tensor([[8.0, 4, 16, 12]])  # cells 2..4 by 1..3; their centres: 1.5..3.5
    got = pyramid_roi_align(maps, box, torch.tensor([0]), 2, STRIDES, 2)
    assert got[0, 0].tolist() == [[2, 3], [2, 3]]


@pytest.mark.parametrize("sampling", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3])
def test_against_loops(sampling: int, size: int) -> None:
    maps, random = made_maps(), torch.Generator().manual_seed(size)
    corner = torch.rand(16, 2, generator=random) * 160 - 60
    spread = torch.tensor([40.0, 150, 300, 600]).repeat(4)[:, None]
    share = 0.8 + 0.2 * torch.rand(16, 2, generator=random)
    box = torch.cat([corner, corner + share * spread], 1)
    index = torch.arange(16) % 3 % 2
    got = pyramid_roi_align(maps, box, index, size, STRIDES, sampling)
    seen = set()
    for i, (x1, y1, x2, y2) in enumerate(box.tolist()):
        at = level(x2 - x1, y2 - y1) - 2
        seen.add(at)
        cells = [v / STRIDES[at] for v in (x1, y1, x2, y2)]
        for row in range(size):
            for column in range(size):
                want = cell(maps[at][index[i]], cells, row, column, size, sampling)
                torch.testing.assert_close(got[i, :, row, column], want)
    assert seen == {0, 1, 2, 3}


def test_gradients_equal_those_of_roi_align() -> None:
    box = torch.tensor([[3.0, 5, 60, 70], [-20, -20, 30, 40], [10, 20, 30, 110]])
    index, weight = torch.tensor([1, 0, 1]), torch.rand(3, 3, 4, 4).double()
    first, second = made_maps(), made_maps()
    first[0].requires_grad_()
    second[0].requires_grad_()
    got = (pyramid_roi_align(first, box, index, 4, STRIDES, 2) * weight).sum()
    want = (roi_align(second[0], box, index, 4, 1 / 4, 2) * weight).sum()
    torch.testing.assert_close(
        torch.autograd.grad(got, first[0]), torch.autograd.grad(want, second[0])
    )


def test_inverted_boxes_read_zeros_without_affecting_others() -> None:
    nan = math.nan
    rows = [[80.0, 10, 40, 60], [nan, nan, nan, nan], [10, 10, 60, 60]]
    got = pyramid_roi_align(named_maps(), torch.tensor(rows), torch.zeros(3).long(), 2, STRIDES, 2)
    assert got[0].tolist() == [[[0, 0], [0, 0]]]
    assert got[2].tolist() == [[[2, 2], [2, 2]]]


def test_no_boxes_keep_the_graph() -> None:
    maps = [x.requires_grad_() for x in made_maps()]
    got = pyramid_roi_align(maps, torch.zeros(0, 4), torch.zeros(0).long(), 7, STRIDES, 2)
    assert got.shape == (0, 3, 7, 7)
    assert not torch.autograd.grad(got.sum(), maps[0])[0].any()


def test_computes_in_float32_and_returns_the_maps_dtype() -> None:
    maps = [x.float() for x in made_maps()]
    box, index = torch.tensor([[7.3, 11.7, 49.1, 53.9]]), torch.tensor([1])
    exact = pyramid_roi_align(maps, box, index, 3, STRIDES, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(pyramid_roi_align(maps, box, index, 3, STRIDES, 2), exact)
        short = [x.bfloat16() for x in maps]
        rounded = pyramid_roi_align(short, box, index, 3, STRIDES, 2)
    assert rounded.dtype == torch.bfloat16
    wide = pyramid_roi_align([x.float() for x in short], box, index, 3, STRIDES, 2)
    assert torch.equal(rounded, wide.bfloat16())


def test_meta_device() -> None:
    maps = [x.to("meta") for x in made_maps()]
    box = torch.zeros(5, 4, device="meta")
    index = torch.zeros(5, dtype=torch.long, device="meta")
    assert pyramid_roi_align(maps, box, index, 2, STRIDES, 2).shape == (5, 3, 2, 2)


@pytest.mark.parametrize("elements", [1, 2 * 9 * 3, 2**20])  # a box at a time, two, all
def test_strongest_is_the_maximum_per_box(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ELEMENTS_AT_ONCE", (elements, 0))
    maps, index = made_maps()[1:2], torch.tensor([1, 0, 1])
    # The last is inverted: with one level, no box is excluded.
    box = torch.tensor([[3.0, 5, 60, 70], [-20, -20, 30, 40], [60, 20, 30, 50]])
    want = roi_align(maps[0], box, index, 3, 1 / 8, 2).amax((2, 3))
    assert want[2].any()
    torch.testing.assert_close(Cells(maps, [8]).strongest(box, index, 3, 2), want)


def test_strongest_without_boxes_and_on_the_meta_device() -> None:
    maps = [x.float() for x in made_maps()]
    none, index = torch.zeros(0, 4), torch.zeros(0).long()
    assert Cells(maps, STRIDES).strongest(none, index, 3, 2).shape == (0, 3)
    bare = Cells([x.to("meta") for x in maps], STRIDES)
    assert bare.strongest(torch.zeros(2, 4, device="meta"), index, 3, 2).shape == (2, 3)
