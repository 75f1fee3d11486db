"""The feature pyramid: top-down sums on odd sizes, levels, and upsampled maps."""

import pytest
import torch
from torch.nn import functional as F

from stadkit.layers.pyramid import Pyramid


def test_top_down_on_odd_maps_repeats_cells() -> None:
    pyramid = Pyramid([1, 1], 1, extra=False)
    for module in pyramid.modules():
        if isinstance(module, torch.nn.Conv2d):  # every convolution is the identity
            torch.nn.init.dirac_(module.weight)
    fine, coarse = torch.zeros(1, 1, 1, 5), torch.tensor([[[[1.0, 2, 3]]]])
    with torch.no_grad():
        assert pyramid([fine, coarse])[0].flatten().tolist() == [1, 1, 2, 2, 3]


@pytest.mark.parametrize("extra", [True, False])
def test_levels_and_their_sizes(extra: bool) -> None:
    maps = [torch.randn(2, 3, 9, 7), torch.randn(2, 5, 5, 4)]
    sizes = [tuple(x.shape[1:]) for x in Pyramid([3, 5], 8, extra)(maps)]
    assert sizes == [(8, 9, 7), (8, 5, 4), (8, 3, 2)][: 2 + extra]


def test_upsampling_before_or_inside_the_pyramid_is_equivalent() -> None:
    torch.manual_seed(0)
    pyramid = Pyramid([3, 3, 3], 4, extra=False)
    maps = [torch.randn(2, 3, 4, 6) for _ in range(2)] + [torch.randn(2, 3, 2, 3)]
    sizes = [(8, 12), (4, 6), (2, 3)]
    stretched = [F.interpolate(x, size=size) for x, size in zip(maps, sizes, strict=True)]
    for got, want in zip(pyramid(maps, sizes), pyramid(stretched), strict=True):
        torch.testing.assert_close(got, want)
