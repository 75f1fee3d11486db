import math

import pytest
import torch
from torch import Tensor

from stadkit.layers.roi_align import roi_align


def ramp(height: int, width: int) -> Tensor:
    """A map whose value is its column: [1, 1, height, width]."""
    return torch.arange(width).float().expand(1, 1, height, width)


def bilinear(image: Tensor, y: float, x: float) -> Tensor:
    """Bilinear sample [D] of image [D, h, w]; the border repeats for one cell."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros(len(image))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    down, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = image[:, top, left] * (1 - x + left) + image[:, top, right] * (x - left)
    lower = image[:, down, left] * (1 - x + left) + image[:, down, right] * (x - left)
    return upper * (1 - y + top) + lower * (y - top)


def brute(
    image: Tensor, box: list[float], size: int, scale: float, sampling: int, aligned: bool
) -> Tensor:
    """One box of one image [D, h, w], sample by sample: [D, size, size]."""
    shift = 0.5 if aligned else 0
    x1, y1, x2, y2 = (v * scale - shift for v in box)
    least = 0.0 if aligned else 1.0
    wide, high = max(x2 - x1, least), max(y2 - y1, least)
    nx, ny = sampling or math.ceil(wide / size), sampling or math.ceil(high / size)
    out = torch.zeros(len(image), size, size)
    for i in range(size):
        for j in range(size):
            for a in range(ny):
                for b in range(nx):
                    y = y1 + (i + (a + 0.5) / ny) * high / size
                    x = x1 + (j + (b + 0.5) / nx) * wide / size
                    out[:, i, j] += bilinear(image, y, x) / max(nx * ny, 1)
    return out


@pytest.mark.parametrize(
    ("aligned", "columns"),
    [(True, [1.0, 2.0]), (False, [1.5, 2.5])],  # cell centres at half cells, or at whole ones
)
def test_two_cells_of_a_ramp(aligned: bool, columns: list[float]) -> None:
    box = torch.tensor([[1.0, 1, 3, 3]])
    got = roi_align(ramp(5, 5), box, torch.tensor([0]), 2, 1.0, 1, aligned)
    assert got[0, 0].tolist() == [columns, columns]


def test_adaptive_sampling_uses_one_sample_per_cell() -> None:
    # A bin 4 cells wide on a map of squares: samples at 0 1 2 3, mean 14 / 4.
    squares = ramp(4, 8) ** 2
    box, index = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([0])
    assert roi_align(squares, box, index, 1, 1.0, 0).item() == pytest.approx(3.5)
    # Two samples at .5 and 2.5, each between two squares: (.5 + 6.5) / 2.
    assert roi_align(squares, box, index, 1, 1.0, 2).item() == pytest.approx(3.5)
    assert roi_align(squares, box, index, 1, 1.0, 1).item() == pytest.approx(2.5)  # at 1.5


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_every_option_against_loops(sampling: int, aligned: bool, size: int) -> None:
    random = torch.Generator().manual_seed(size)
    maps = torch.randn(3, 2, 5, 7, generator=random)
    corner = torch.rand(9, 2, generator=random) * 100 - 20
    box = torch.cat([corner, corner + torch.rand(9, 2, generator=random) * 90], 1)
    box[0, 2:] = box[0, :2]  # empty
    index = torch.tensor([2, 0, 2, 2, 0, 2, 0, 0, 2])  # no box in clip 1
    got = roi_align(maps, box, index, size, 1 / 16, sampling, aligned)
    for i, row in enumerate(box.tolist()):
        want = brute(maps[index[i]], row, size, 1 / 16, sampling, aligned)
        torch.testing.assert_close(got[i], want, atol=1e-5, rtol=1e-5)


def test_gradients_reach_the_sampled_cells() -> None:
    maps = torch.zeros(2, 1, 4, 4, requires_grad=True)
    box = torch.tensor([[1.0, 1, 2, 2]])
    roi_align(maps, box, torch.tensor([1]), 1, 1.0, 1).sum().backward()
    assert maps.grad is not None
    assert maps.grad.nonzero().tolist() == [[1, 0, 1, 1]]
    assert maps.grad.sum() == 1


def test_no_boxes_keep_the_graph() -> None:
    maps = torch.zeros(2, 3, 4, 4, requires_grad=True)
    got = roi_align(maps, torch.zeros(0, 4), torch.zeros(0).long(), 7, 1.0)
    assert got.shape == (0, 3, 7, 7)
    got.sum().backward()
    assert maps.grad is not None


def test_computes_in_float32_and_returns_the_maps_dtype() -> None:
    maps = ramp(6, 6) + 100
    box, index = torch.tensor([[0.7, 1.1, 4.9, 5.3]]), torch.tensor([0])
    exact = roi_align(maps, box, index, 3, 1.0, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(roi_align(maps, box, index, 3, 1.0, 2), exact)
        rounded = roi_align(maps.bfloat16(), box, index, 3, 1.0, 2)
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded, exact.bfloat16())


def test_float64_maps_are_pooled_in_float64() -> None:
    maps, index = ramp(6, 6).double() / 3, torch.tensor([0])
    got = roi_align(maps, torch.tensor([[1.0, 1, 4, 4]]), index, 1, 1.0, 3)
    assert got.dtype == torch.float64
    assert abs(got.item() - 2 / 3) < 1e-15  # the box centre lies between cells, at 2.5 - .5


def test_meta_device() -> None:
    maps, box = torch.zeros(1, 3, 4, 4, device="meta"), torch.zeros(5, 4, device="meta")
    index = torch.zeros(5, dtype=torch.long, device="meta")
    assert roi_align(maps, box, index, 2, 1.0).shape == (5, 3, 2, 2)
