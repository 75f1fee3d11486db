"""The glimpse: crops of people, and what they depend on."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stadkit.models.grid_head import ENLARGE, SIDE, Glimpse, cut
from stadkit.models.mestad import build
from stadkit.models.mestad_config import MestadConfig


def ramps(clips: int, height: int, width: int) -> Tensor:
    """Frames [clips, 3, 2, height, width] whose channels are x, y and the clip index."""
    frames = torch.zeros(clips, 3, 2, height, width)
    frames[:, 0] = torch.arange(width) + 0.5
    frames[:, 1] = torch.arange(height)[:, None] + 0.5
    frames[:, 2] = torch.arange(clips)[:, None, None, None]
    return frames


def test_crops_sample_the_box_evenly() -> None:
    sizes = torch.tensor([[64, 96], [64, 96]])
    boxes = torch.tensor([[20.0, 10, 60, 50], [30.0, 20, 40, 30], [40.0, 20, 80, 40]])
    got = cut(ramps(2, 64, 96), sizes, boxes, torch.tensor([1, 0, 1]))
    assert got.shape == (3, 3, 2, SIDE, SIDE)
    assert got[:, 2].mean((1, 2, 3)).tolist() == [1, 0, 1]
    for box, seen in zip(boxes, got, strict=True):
        (left, top), (right, bottom) = box[:2], box[2:]
        for low, high, ramp in ((left, right, seen[0, 0, 0]), (top, bottom, seen[1, 1, :, 0])):
            center, side = (low + high) / 2, ENLARGE * (high - low)
            want = center + side * ((torch.arange(SIDE) + 0.5) / SIDE - 0.5)
            torch.testing.assert_close(ramp, want)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31 - 1))
def test_padding_and_other_boxes_have_no_influence(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    frames = torch.randn(1, 3, 2, 40, 56, generator=random)
    corner = torch.rand(3, 2, generator=random) * 60 - 10
    boxes = torch.cat([corner, corner + 30 * torch.rand(3, 2, generator=random)], 1)
    size, index = torch.tensor([[40, 56]]), torch.zeros(3, dtype=torch.long)
    alone = cut(frames, size, boxes, index)
    padded = torch.full((2, 3, 2, 64, 64), 9.0)
    padded[1, ..., :40, :56] = frames[0]
    more = torch.cat([boxes[:1], torch.tensor([[5.0, 5, 50, 50]]), boxes[1:]])
    sizes = torch.tensor([[64, 64], [40, 56]])
    got = cut(padded, sizes, more, torch.tensor([1, 0, 1, 1]))
    torch.testing.assert_close(got[[0, 2, 3]], alone, atol=1e-4, rtol=1e-4)


def test_no_boxes() -> None:
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    glimpse = Glimpse()
    seen = glimpse(torch.zeros(1, 3, 8, 32, 32), torch.tensor([[32, 32]]), *none)
    assert seen.shape == (0, glimpse.width)


@pytest.mark.parametrize("frames", [1, 4, 5, 8, 32])
def test_the_feature_size_does_not_depend_on_the_frames(frames: int) -> None:
    glimpse = Glimpse()
    pixels, box = torch.zeros(1, 3, frames, 32, 32), torch.tensor([[0.0, 0, 9, 9]])
    seen = glimpse(pixels, torch.tensor([[32, 32]]), box, torch.zeros(1, dtype=torch.long))
    assert seen.shape == (1, glimpse.width)


def test_adding_a_glimpse_keeps_the_outputs() -> None:
    torch.manual_seed(0)
    settings = {"backbone": "nano", "classes": 3, "width": 16, "depth": 1, "groups": 4}
    plain = build(MestadConfig(**settings, head="grid")).eval()
    more = build(MestadConfig(**settings, head="grid", glimpse=True)).eval()
    lacking, unknown = more.load_state_dict(plain.state_dict(), strict=False)
    assert {name.split(".")[0] for name in lacking} == {"glimpse", "head"}
    assert not unknown
    pixels, sizes = torch.randn(1, 3, 8, 64, 96), torch.tensor([[60, 96]])
    with torch.no_grad():
        before = plain(pixels, sizes).action
        torch.testing.assert_close(more(pixels, sizes).action, before)
        more.head.seen.weight.normal_()
        assert not torch.allclose(more(pixels, sizes).action, before)
