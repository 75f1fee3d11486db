"""EfficientNet-Lite0's blocks: equal to the published ones, and frozen."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.models.lite import (
    BLOCKS,
    CHANNELS,
    LAST,
    MAP_STD,
    Lite,
    LiteFrames,
    LitePatches,
    WholeLite,
)

sys.path.append(str(Path(__file__).parents[2] / "weights"))
from photo import EPSILON, folded


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """Weights under the names of the published file, scaled to preserve activations."""
    generator = torch.Generator().manual_seed(3)
    state: dict[str, Tensor] = {}

    def put(conv: str, norm: str, outside: int, inside: int, kernel: int) -> None:
        shape = (outside, inside, kernel, kernel)
        spread = (2 / (inside * kernel**2)) ** 0.5
        state[f"{conv}.weight"] = spread * torch.randn(shape, generator=generator)
        state[f"{norm}.weight"] = 1 + 0.1 * torch.randn(outside, generator=generator)
        state[f"{norm}.bias"] = 0.3 * torch.randn(outside, generator=generator)
        state[f"{norm}.running_mean"] = 0.1 * torch.randn(outside, generator=generator)
        state[f"{norm}.running_var"] = 0.5 + torch.rand(outside, generator=generator)

    put("_conv_stem", "_bn0", 32, 3, 3)
    inside = 32
    for number, (kernel, _, outside) in enumerate(BLOCKS):
        name, wide = f"_blocks.{number}.", 6 * inside if number else inside
        if number:
            put(f"{name}_expand_conv", f"{name}_bn0", wide, inside, 1)
        put(f"{name}_depthwise_conv", f"{name}_bn1", wide, 1, kernel)
        put(f"{name}_project_conv", f"{name}_bn2", outside, wide, 1)
        inside = outside
    put("_conv_head", "_bn1", 1280, inside, 1)
    return state


def as_published(state: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """Each block's maps, computed with "same" padding and batch norms."""

    def norm(x: Tensor, name: str) -> Tensor:
        parts = (state[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts, eps=EPSILON)

    def conv(x: Tensor, name: str, kernel: int = 1, stride: int = 1, groups: int = 1) -> Tensor:
        sides = []
        for length in (x.shape[3], x.shape[2]):
            lacking = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            sides += [lacking // 2, lacking - lacking // 2]
        return F.conv2d(F.pad(x, sides), state[f"{name}.weight"], stride=stride, groups=groups)

    x = F.relu6(norm(conv(x, "_conv_stem", 3, 2), "_bn0"))
    maps = []
    for number, (kernel, stride, _) in enumerate(BLOCKS):
        name, y = f"_blocks.{number}.", x
        if number:
            y = F.relu6(norm(conv(y, f"{name}_expand_conv"), f"{name}_bn0"))
        y = conv(y, f"{name}_depthwise_conv", kernel, stride, y.shape[1])
        y = norm(conv(F.relu6(norm(y, f"{name}_bn1")), f"{name}_project_conv"), f"{name}_bn2")
        x = x + y if x.shape == y.shape else y
        maps.append(x)
    return [*maps, F.relu6(norm(conv(x, "_conv_head"), "_bn1"))]


def test_maps_equal_the_published_networks(published: dict[str, Tensor]) -> None:
    lite = Lite()
    lite.load_state_dict(folded(published, max(LAST) + 1))
    bytes_ = torch.randint(0, 256, (2, 3, 128, 96), generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        maps = lite((bytes_ - 127.5) / 63.75)
        wanted = as_published(published, (bytes_ - 127.0) / 128)
    for stride, got, number in zip((4, 8, 16, 32), maps, LAST, strict=True):
        assert got.shape[2:] == (128 // stride, 96 // stride)
        # Padding zeros are level 127.5 here and 127 there: half a grey level apart.
        torch.testing.assert_close(got, wanted[number] / MAP_STD, atol=3e-2, rtol=1e-2)


def test_the_whole_network_equals_the_published_one(published: dict[str, Tensor]) -> None:
    lite = WholeLite()
    lite.load_state_dict(folded(published))
    bytes_ = torch.randint(0, 256, (2, 3, 96, 64), generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        middle, deep = lite((bytes_ - 127.5) / 63.75)
        wanted = as_published(published, (bytes_ - 127.0) / 128)
    assert middle.shape == (2, 112, 6, 4)
    assert deep.shape == (2, 1280, 3, 2)
    torch.testing.assert_close(middle, wanted[LAST[2]], atol=0.2, rtol=1e-2)
    torch.testing.assert_close(deep, wanted[-1], atol=0.2, rtol=1e-2)
    assert (deep > 0.5).float().mean() > 0.1


def test_channels() -> None:
    with torch.no_grad():
        maps = Lite()(torch.zeros(1, 3, 32, 32))
    assert tuple(x.shape[1] for x in maps) == CHANNELS


def test_weights_are_frozen() -> None:
    lite = Lite().train()
    assert not any(p.requires_grad for p in lite.parameters())
    assert not any(isinstance(m, nn.BatchNorm2d | nn.Dropout) for m in lite.modules())


def test_frames_are_processed_independently() -> None:
    backbone = LiteFrames().eval()
    # More than the model processes at once.
    pixels = torch.randn(2, 3, 5, 64, 32, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        stages = backbone(pixels)
        for clip, frame in ((0, 0), (0, 2), (1, 1), (1, 4)):
            alone = backbone.photo(pixels[clip, :, frame][None])
            for (name, [maps]), wanted in zip(stages.items(), alone, strict=True):
                assert maps.shape[1] == backbone.channels[name]
                torch.testing.assert_close(maps[clip, :, frame], wanted[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(64, 32), (48, 16), (32, 80)])
def test_a_token_reads_the_cells_at_its_position(height: int, width: int) -> None:
    stem = LitePatches(7).eval()
    pixels = torch.randn(2, 3, 5, height, width, generator=torch.Generator().manual_seed(6))
    h, w = height // 16, width // 16
    whole = F.pad(pixels, (0, -width % 32, 0, -height % 32))
    with torch.no_grad():
        tokens = stem(pixels)
        assert tokens.shape == (2, 5 * h * w, 7)
        for clip, frame, i, j in ((0, 0, 0, 0), (1, 4, h - 1, w - 1), (1, 2, h - 1, 0)):
            _, fine, own, coarse = stem.photo(whole[clip, :, frame][None])
            four = fine[0, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].flatten()
            seen = torch.cat([four, own[0, :, i, j], coarse[0, :, i // 2, j // 2]])
            got = tokens[clip, (frame * h + i) * w + j]
            torch.testing.assert_close(got, stem.proj(seen), rtol=1e-4, atol=1e-5)
