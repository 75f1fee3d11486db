"""mestad-tiny's backbone: shapes, key frame, any size."""

import pytest
import torch

from stadkit.models.nano import SHRINK, Nano, NanoConfig, _grown

TINY = NanoConfig(slow=(4, 8, 4), fast=(4, 4, 4, 4), entry=4)


def test_shapes_follow_channels_and_strides() -> None:
    model = Nano(TINY).eval()
    with torch.no_grad():
        stages = model(torch.randn(2, 3, 8, 64, 96))
    assert list(stages) == ["res2", "res3", "res4", "res5"]
    for name, pathways in stages.items():
        assert sum(x.shape[1] for x in pathways) == model.channels[name]
        stride = model.strides[name]
        assert all(x.shape[2:] == (1, 64 // stride, 96 // stride) for x in pathways)


@pytest.mark.parametrize("size", [(64, 64), (80, 112), (72, 104), (50, 70)])
@pytest.mark.parametrize("frames", [1, 5, 8])
def test_any_size_and_length(size: tuple[int, int], frames: int) -> None:
    with torch.no_grad():
        stages = Nano(TINY).eval()(torch.randn(1, 3, frames, *size))
    assert all(torch.isfinite(x).all() for pathways in stages.values() for x in pathways)


def test_the_pyramid_reads_only_the_key_frame_and_actions_read_all() -> None:
    model = Nano(TINY).eval()
    clip = torch.randn(1, 3, 8, 64, 64)
    other = clip.clone()
    other[:, :, [0, 1, 2, 3, 5, 6, 7]] = 0
    with torch.no_grad():
        before, after = model(clip), model(other)
    for name in ("res2", "res3", "res4"):
        assert torch.equal(before[name][0], after[name][0])
    assert not torch.allclose(before["res5"][1], after["res5"][1])


@pytest.mark.parametrize(("factor", "mode"), [(1 / SHRINK, "bilinear"), (2, "nearest")])
def test_positions_of_upsampled_cells_do_not_depend_on_padding(factor: float, mode: str) -> None:
    maps = torch.randn(1, 2, 3, 15, 18)
    less = maps[..., :11, :14]
    whole = _grown(maps, factor, torch.zeros(1, 1, 1, round(15 * factor), round(18 * factor)), mode)
    for height, width in ((14, 18), (15, 19)):  # cropped, and padded by the border
        part = _grown(less, factor, torch.zeros(1, 1, 1, height, width), mode)
        assert part.shape == (1, 2, 3, height, width)
        assert torch.equal(part[..., :13, :17], whole[..., :13, :17])
