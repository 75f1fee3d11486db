"""Sampling beside torch's grid_sample, and boxes as centre and logarithms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from stadkit.models.sampling import (
    points,
    refine,
    sample,
    sample_each,
    tabulate,
    to_corners,
    whole_frame,
)

STRIDES = (4, 8)


def made(seed: int, times: int = 3) -> tuple[list[Tensor], Tensor]:
    """Maps of 2 clips, 32 x 24 pixels, 2 groups of 3 channels; 5 queries' 4 points a group, some
    of them outside."""
    random = torch.Generator().manual_seed(seed)
    maps = [torch.randn(2, 6, times, 32 // s, 24 // s, generator=random) for s in STRIDES]
    place = torch.rand(2, 5, 2, 4, 2, generator=random) * 48 - 8
    scale = torch.rand(2, 5, 2, 4, 1, generator=random) * 6
    return maps, torch.cat([place, scale], -1)


def by_grid_sample(maps: list[Tensor], point: Tensor) -> Tensor:
    """`sample` by grid_sample, one map and group at a time: [B, N, G, P, t, D / G]."""
    level = torch.arange(len(maps))
    share = (-((point[..., 2, None] - 3 - level) ** 2) / 2).softmax(-1)
    clips, queries, groups, count, _ = point.shape
    out = torch.zeros(clips, queries, groups, count, maps[0].shape[2], 3)
    for number, (x, stride) in enumerate(zip(maps, STRIDES, strict=True)):
        side = torch.tensor([x.shape[4], x.shape[3]]) * stride
        for group in range(groups):
            grid = 2 * point[:, :, group, :, :2] / side - 1
            for t in range(x.shape[2]):
                seen = F.grid_sample(x[:, 3 * group : 3 * group + 3, t], grid, align_corners=False)
                part = share[:, :, group, :, number, None] * seen.permute(0, 2, 3, 1)
                out[:, :, group, :, t] += part
    return out


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4))
def test_sampling_equals_grid_sample_of_each_map(seed: int, times: int) -> None:
    maps, point = made(seed, times)
    got = sample(tabulate(maps, STRIDES, 2), point)
    torch.testing.assert_close(got, by_grid_sample(maps, point), atol=1e-5, rtol=1e-4)


def test_each_time_step_is_sampled_at_its_own_points() -> None:
    maps, point = made(1)
    own = torch.stack([point, point.flip(1), point.flip(3)], 2)  # [B, N, t, G, P, 3]
    got = sample_each(tabulate(maps, STRIDES, 2), own)
    for t in range(3):
        wanted = by_grid_sample(maps, own[:, :, t])[..., t, :]
        torch.testing.assert_close(got[:, :, t], wanted, atol=1e-5, rtol=1e-4)


def test_gradients_equal_those_of_grid_sample() -> None:
    maps, point = made(2)
    both = []
    for kind in (lambda m, p: sample(tabulate(m, STRIDES, 2), p), by_grid_sample):
        leaves = [x.clone().requires_grad_() for x in (*maps, point)]
        kind(leaves[:-1], leaves[-1]).square().sum().backward()
        both.append([x.grad for x in leaves])
    for got, wanted in zip(*both, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-3)


def test_points_are_offsets_in_sides_of_the_box_and_octaves() -> None:
    # 64 wide, 16 high: z = log2(32) = 5, r = log2(16 / 64) = -2.
    box = torch.tensor([[100.0, 50.0, 5.0, -2.0]])
    offset = torch.tensor([[0.5, -1.0, 0.25]]).view(1, 1, 1, 3)
    assert points(offset, box).flatten().tolist() == [132.0, 34.0, 5.25]
    assert to_corners(box).tolist() == [[68.0, 42.0, 132.0, 58.0]]


def test_whole_frame_is_the_box_of_the_frame() -> None:
    sizes = torch.tensor([[220, 309], [64, 64]])
    wanted = [[0, 0, 309, 220], [0, 0, 64, 64]]
    np.testing.assert_allclose(to_corners(whole_frame(sizes, torch.float64)), wanted, atol=1e-9)


def test_refining_moves_by_the_root_of_the_area_and_adds_octaves() -> None:
    box = torch.tensor([[100.0, 50.0, 5.0, -2.0]])
    moved = refine(box, torch.tensor([[0.5, -0.25, 1.0, 2.0]]))
    assert moved.tolist() == [[116.0, 42.0, 6.0, 0.0]]


@pytest.mark.parametrize("outside", [-50.0, 90.0])
def test_points_outside_read_zeros(outside: float) -> None:
    maps, point = made(3)
    far = torch.full_like(point, outside)
    assert not sample(tabulate(maps, STRIDES, 2), far).any()


@pytest.mark.parametrize("odd", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_points_that_are_not_finite_are_not_hidden(odd: float) -> None:
    """Infinite points read zeros; NaN points give NaN."""
    maps, point = made(4)
    point[0, 0, 0, 0, 0] = odd
    got = sample(tabulate(maps, STRIDES, 2), point)
    assert not got[0, 0, 0, 0].any() if odd == 1e30 else got[0, 0, 0, 0].isnan().all()
    assert torch.isfinite(got[1]).all()


def test_boxes_of_a_diverging_model_stay_finite() -> None:
    assert torch.isfinite(to_corners(torch.tensor([[5.0, 5.0, 500.0, -300.0]]))).all()


def test_gradients_of_bfloat16_maps_are_float32() -> None:
    """400 points in one cell: a bfloat16 sum of their gradients would stop growing."""
    maps = [torch.ones(1, 2, 1, 8 // s * 4, 8 // s * 4) for s in (4, 8)]
    point = torch.tensor([2.0, 2.0, 0.0]).expand(1, 400, 1, 1, 3)
    leaf = maps[0].bfloat16().requires_grad_()
    sample(tabulate([leaf, maps[1].bfloat16()], STRIDES, 1), point).sum().backward()
    full = maps[0].requires_grad_()
    sample(tabulate([full, maps[1]], STRIDES, 1), point).sum().backward()
    assert leaf.grad is not None
    assert full.grad is not None
    assert leaf.grad.float().max().item() == pytest.approx(full.grad.max().item(), rel=0.01)
