import math

import torch
from torch.nn import functional as F

from stadkit.layers.attention import positions, sinusoid


def test_sines_and_cosines_by_hand() -> None:
    got = sinusoid(3, 4)
    assert got.dtype == torch.float32
    assert got[0].tolist() == [0, 1, 0, 1]
    wanted = [math.sin(2), math.cos(2), math.sin(2 / 100), math.cos(2 / 100)]
    torch.testing.assert_close(got[2], torch.tensor(wanted))


def test_angles_are_computed_in_float64() -> None:
    got = sinusoid(1568, 768)[1567, 3].item()
    assert abs(got - math.cos(1567 / 10000 ** (2 / 768))) < 1e-7


def test_the_base_grid_is_the_table_itself() -> None:
    assert torch.equal(positions((3, 4, 5), (4, 5), 6), sinusoid(60, 6))


def test_other_grids_are_resized_slice_by_slice() -> None:
    got = positions((3, 6, 4), (4, 5), 6).view(3, 6, 4, 6)
    table = sinusoid(60, 6).view(3, 4, 5, 6)
    for slice_ in range(3):
        for channel in range(6):
            image = table[slice_, :, :, channel][None, None]
            wanted = F.interpolate(image, (6, 4), mode="bicubic", align_corners=False)[0, 0]
            torch.testing.assert_close(got[slice_, :, :, channel], wanted)


def test_grids_of_equal_cell_count_differ() -> None:
    assert not torch.equal(positions((2, 2, 8), (4, 4), 6), positions((2, 4, 4), (4, 4), 6))
    assert positions((2, 2, 8), (4, 4), 6).shape == (32, 6)


def test_a_table_made_in_inference_mode_works_in_training() -> None:
    positions.cache_clear()
    with torch.inference_mode():
        positions((1, 3, 3), (2, 2), 4)
    scale = torch.ones(4, requires_grad=True)
    (scale * positions((1, 3, 3), (2, 2), 4)).sum().backward()
    assert scale.grad is not None


def test_a_default_device_is_not_cached() -> None:
    positions.cache_clear()
    with torch.device("meta"):
        positions((1, 2, 2), (2, 2), 4)
    assert positions((1, 2, 2), (2, 2), 4).device.type == "cpu"
