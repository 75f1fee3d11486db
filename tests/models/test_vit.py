"""ViT with token pruning: kept tokens, their cells, and any clip size."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stadkit.errors import UsageError
from stadkit.layers.attention import positions
from stadkit.models.vit import Tokens, Vit, VitConfig, keyframe_slice, others_kept

SMALL: dict[str, Any] = {
    "width": 16,
    "depth": 4,
    "heads": 2,
    "patch": 4,
    "base": (2, 3),
    "maps_at": (0, 1, 2, 3),
    "prune_at": (1, 2),
}


def tiny(**changes: Any) -> Vit:
    torch.manual_seed(0)
    model = Vit(VitConfig(**{**SMALL, **changes})).eval()
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    return model


def clips(count: int = 2, frames: int = 8, height: int = 8, width: int = 12) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, frames, height, width, generator=random)


def run(model: Vit, pixels: Tensor) -> Tokens:
    with torch.no_grad():
        return model(pixels)  # type: ignore[no-any-return]


def identity_model(**changes: Any) -> Vit:
    """A model whose blocks are the identity and whose last norm has no weights."""
    model = tiny(**changes)
    for block in model.blocks:
        assert isinstance(block, nn.Module)
        for name in ("attn.proj", "mlp.fc2"):
            for weight in block.get_submodule(name).parameters():
                nn.init.zeros_(weight)
    nn.init.ones_(model.norm.weight)
    nn.init.zeros_(model.norm.bias)
    return model


def embedded(model: Vit, pixels: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Tokens [B, t, h * w, D] before the blocks, in raster order."""
    maps = model.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
    codes = positions(grid, model.config.base, model.config.width)
    return (maps + codes).view(len(pixels), grid[0], grid[1] * grid[2], -1)  # type: ignore[no-any-return]


@pytest.mark.parametrize("rate", [1.0, 0.7])
def test_kept_gives_the_cells_of_tokens(rate: float) -> None:
    model, pixels = identity_model(keep_rate=rate), clips()
    found = run(model, pixels)
    with torch.no_grad():
        start = embedded(model, pixels, (4, 2, 3))
    key, others = start[:, 2], start[:, [0, 1, 3]].flatten(1, 2)
    kept = others.gather(1, found.kept[..., None].expand(-1, -1, 16))
    with torch.no_grad():
        wanted = model.norm(torch.cat([key, kept], 1))
    torch.testing.assert_close(found.token, wanted)
    for map_ in found.maps:
        torch.testing.assert_close(map_, key.transpose(1, 2).view(2, 16, 2, 3))


def test_rate_1_keeps_all_tokens_in_order() -> None:
    found = run(tiny(), clips())
    assert found.stages == ()
    assert found.kept.tolist() == [list(range(18))] * 2
    assert found.token.shape == (2, 24, 16)
    assert found.grid == (4, 2, 3)


def test_each_stage_keeps_a_subset_of_the_previous() -> None:
    found = run(tiny(keep_rate=0.7), clips())
    assert [x.shape for x in found.stages] == [(2, 11), (2, 6)]  # ceil(.7 * 24), ceil(.7 * 17)
    assert found.stages[-1] is found.kept
    for clip in range(2):
        first, second = (set(x[clip].tolist()) for x in found.stages)
        assert len(first) == 11
        assert second < first <= set(range(18))


def test_the_keyframe_weight_changes_what_is_kept() -> None:
    same, heavy = tiny(keep_rate=0.7), tiny(keep_rate=0.7, keyframe_weight=100.0)
    assert not torch.equal(run(same, clips()).kept, run(heavy, clips()).kept)


def test_maps_are_taken_after_their_blocks() -> None:
    model = tiny(maps_at=(1, 3))
    nn.init.ones_(model.norm.weight)
    nn.init.zeros_(model.norm.bias)
    found = run(model, clips())
    last = found.maps[1].flatten(2).transpose(1, 2)
    torch.testing.assert_close(model.norm(last), found.token[:, :6])
    assert not torch.equal(*found.maps)
    shallow = run(tiny(maps_at=(1,), prune_at=()), clips())
    assert torch.equal(shallow.maps[0], found.maps[0])


@pytest.mark.parametrize(("frames", "height", "width"), [(2, 4, 4), (10, 16, 4), (16, 4, 24)])
def test_any_length_and_size(frames: int, height: int, width: int) -> None:
    found = run(tiny(), clips(1, frames, height, width))
    assert found.grid == (frames // 2, height // 4, width // 4)
    assert found.token.shape[1] == frames * height * width // 32
    assert found.token.isfinite().all()


def test_results_do_not_depend_on_the_batch() -> None:
    model, pixels = tiny(keep_rate=0.7), clips(3)
    together = run(model, pixels)
    for i in range(3):
        alone = run(model, pixels[i : i + 1])
        assert torch.equal(alone.kept[0], together.kept[i])
        torch.testing.assert_close(alone.token[0], together.token[i])


@pytest.mark.parametrize("size", [(7, 8, 8), (8, 9, 8), (8, 8, 10), (8, 0, 8)])
def test_a_size_that_is_not_in_whole_patches(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="multiples"):
        tiny()(torch.zeros(1, 3, *size))


def test_gradients_reach_every_weight_through_pruning() -> None:
    model = tiny(keep_rate=0.7, drop_path=0.0).train()
    found = model(clips())
    (found.token.square().sum() + sum(x.square().sum() for x in found.maps)).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.any(), name


@pytest.mark.parametrize("grad", [False, True])
def test_under_autocast(grad: bool) -> None:
    model, pixels = tiny(), clips()
    with torch.set_grad_enabled(grad), torch.autocast("cpu", torch.bfloat16):
        found = model(pixels)
        assert tiny(keep_rate=0.7)(pixels).kept.shape == (2, 6)
    torch.testing.assert_close(found.token, run(model, pixels).token, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_other_dtypes(dtype: torch.dtype) -> None:
    found = run(tiny(keep_rate=0.7).to(dtype), clips().to(dtype))
    assert found.token.dtype == dtype
    assert found.maps[0].dtype == dtype


def test_compiled_in_one_piece() -> None:
    model, pixels = tiny(keep_rate=0.7), clips()
    found = run(torch.compile(model, backend="eager", fullgraph=True), pixels)  # type: ignore[arg-type]
    assert torch.equal(found.kept, run(model, pixels).kept)
    torch.testing.assert_close(found.token, run(model, pixels).token)


# The paper's sizes: 8 slices of 14 x 14 cells.
@pytest.mark.parametrize(
    ("rate", "tokens"),
    [(0.9, (1412, 1271, 1144)), (0.8, (1255, 1004, 804)), (0.7, (1098, 769, 539))],
)
def test_number_of_kept_tokens(rate: float, tokens: tuple[int, ...]) -> None:
    kept = others_kept((8, 14, 14), rate, (3, 6, 9))
    assert kept == dict(zip((3, 6, 9), (n - 196 for n in tokens), strict=True))


@pytest.mark.parametrize(
    ("grid", "least"),
    # 7 slices of 5 x 5 cells: 0.512 * 175 = 89.6, 0.512 * 90 = 46.08, 0.512 * 47 = 24.06; with
    # 0.511 they are 90, 46 and 24 tokens. A half, three times, is an eighth, plus rounding up.
    [((8, 14, 14), 0.499), ((7, 5, 5), 0.512), ((1, 4, 6), 0.959), ((1, 1, 1), 0.001)],
)
def test_too_small_a_rate_names_the_smallest(grid: tuple[int, int, int], least: float) -> None:
    assert min(others_kept(grid, least, (3, 6, 9)).values()) == 0
    below = round(least - 0.001, 3)
    if below:
        with pytest.raises(UsageError, match=rf"smallest that works is {least}\.$"):
            others_kept(grid, below, (3, 6, 9))


def test_the_key_frame_alone_may_be_kept() -> None:
    found = run(tiny(keep_rate=0.5), clips())
    assert [x.shape for x in found.stages] == [(2, 6), (2, 0)]
    assert found.token.shape == (2, 6, 16)
    assert found.token.isfinite().all()
    still = run(
        tiny(keep_rate=0.9), clips(1, frames=2)
    )  # a single slice is kept: 0.9 * 6 is above 5
    torch.testing.assert_close(still.token, run(tiny(), clips(1, frames=2)).token)


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep_rate": 0.0},
        {"keep_rate": 1.1},
        {"width": 15},
        {"heads": 0},
        {"depth": 0},
        {"patch": -4},
        {"tubelet": 2.0},
        {"base": (2, 0)},
        {"base": (2, 3, 4)},
        {"base": 14},
        {"drop_path": 1.0},
        {"drop_path": -0.1},
        {"maps_at": (1, 0)},
        {"maps_at": (1, 1)},
        {"prune_at": (3, 4)},
        {"prune_at": (-1,)},
        {"stem": "film"},
        {"stem": "lite", "tubelet": 1},  # SMALL has a different patch
        {"stem": "lite", "patch": 16},
    ],
    ids=str,
)
def test_invalid_configs(wrong: dict[str, Any]) -> None:
    field = "width" if "heads" in wrong else next(iter(wrong))
    with pytest.raises(UsageError, match=rf"^VitConfig\.({field}|{next(iter(wrong))}) is .*\.$"):
        VitConfig(**{**SMALL, **wrong})


def test_tokens_of_frozen_maps_have_the_positions_of_pixel_tokens() -> None:
    model = tiny(stem="lite", patch=16, tubelet=1, keep_rate=0.7)
    pixels = clips(2, 4, 48, 32)
    found = run(model, pixels)
    assert found.grid == (4, 3, 2)
    assert found.token.shape[1] == 6 + others_kept(found.grid, 0.7, (1, 2))[2]
    still = identity_model(stem="lite", patch=16, tubelet=1, prune_at=())
    codes = positions(found.grid, still.config.base, still.config.width)
    with torch.no_grad():
        wanted = still.patch_embed(pixels) + codes.flatten(0, -2)
    got = run(still, pixels).token[:, :6]  # of the key frame
    torch.testing.assert_close(got, still.norm(wanted[:, 12:18]))


def test_lists_are_accepted() -> None:
    assert VitConfig(prune_at=[1, 2], base=[3, 4]) == VitConfig(prune_at=(1, 2), base=(3, 4))  # type: ignore[arg-type]


LARGE = VitConfig(1024, 24, 16, maps_at=(5, 11, 17, 23), prune_at=(6, 12, 18))


@pytest.mark.parametrize(
    ("config", "parameters"), [(VitConfig(), 86_227_200), (LARGE, 303_860_736)]
)
def test_parameters_of_the_published_models(config: VitConfig, parameters: int) -> None:
    with torch.device("meta"):
        model = Vit(config)
    assert sum(x.numel() for x in model.parameters()) == parameters


def test_names_equal_those_of_published_weights() -> None:
    names = set(tiny(depth=1, maps_at=(), prune_at=()).state_dict())
    block = ["norm1.weight", "norm1.bias", "attn.q_bias", "attn.v_bias", "attn.qkv.weight"]
    block += ["attn.proj.weight", "attn.proj.bias", "norm2.weight", "norm2.bias"]
    block += ["mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias"]
    rest = ["patch_embed.proj.weight", "patch_embed.proj.bias", "norm.weight", "norm.bias"]
    assert names == {*rest, *(f"blocks.0.{name}" for name in block)}


def test_drop_path_increases_to_its_rate() -> None:
    rates = [x.drop_path.rate for x in Vit(VitConfig(**SMALL, drop_path=0.3)).blocks]  # type: ignore[union-attr]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])


def test_the_key_frame_is_the_first_after_the_middle() -> None:
    assert [keyframe_slice(n) for n in (1, 2, 7, 8)] == [0, 1, 3, 4]


@pytest.mark.parametrize(("kept", "side"), [(5, 3), (4, 2)])
def test_tokens_check_their_shapes(kept: int, side: int) -> None:
    token, map_ = torch.zeros(1, 10, 4), torch.zeros(1, 4, 2, side)
    with pytest.raises(ValueError, match=r"Tokens\."):
        Tokens(token, torch.zeros(1, kept).long(), (3, 2, 3), (map_,), ())
