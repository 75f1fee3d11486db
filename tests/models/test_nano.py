"""mestad-nano's backbone: shapes, key frame, any size."""

import pytest
import torch

from stadkit.models.nano import Nano, NanoConfig

TINY = NanoConfig(slow=(4, 4, 8, 4), fast=(4, 4, 4, 4), entry=4)


def test_shapes_follow_channels_and_strides() -> None:
    model = Nano(TINY).eval()
    with torch.no_grad():
        stages = model(torch.randn(2, 3, 8, 64, 96))
    for name, pathways in stages.items():
        assert sum(x.shape[1] for x in pathways) == model.channels[name]
        stride = model.strides[name]
        assert pathways[0].shape[2:] == (1, 64 // stride, 96 // stride)
        assert pathways[1].shape[2] == 8


@pytest.mark.parametrize("size", [(64, 64), (80, 112), (72, 104), (50, 70)])
@pytest.mark.parametrize("frames", [1, 5, 8])
def test_any_size_and_length(size: tuple[int, int], frames: int) -> None:
    with torch.no_grad():
        stages = Nano(TINY).eval()(torch.randn(1, 3, frames, *size))
    assert all(torch.isfinite(x).all() for pathways in stages.values() for x in pathways)


def test_slow_pathway_starts_from_the_key_frame_alone() -> None:
    model = Nano(TINY).eval()
    clip = torch.randn(1, 3, 8, 64, 64)
    other = clip.clone()
    other[:, :, [0, 1, 2, 3, 5, 6, 7]] = 0
    with torch.no_grad():
        before, after = model(clip)["res3"], model(other)["res3"]
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1])
