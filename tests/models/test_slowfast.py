"""SlowFast: canonical names, stored reference outputs, options of each code base."""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stadkit.models.slowfast import NonLocal, SlowFast, SlowFastConfig, slow_index

DATA = Path(__file__).parents[1] / "data" / "mestad"
TINY = SlowFastConfig(depths=(1, 2, 2, 1), temporal=(1, 2, 1, 1), width=8, beta=4, nonlocal4=(1,))
FULL = {
    "slowonly_r50_4x16": SlowFastConfig.slowonly_r50,
    "slowfast_r50_8x8": SlowFastConfig.slowfast_r50,
    "slowfast_r101nl_8x8": SlowFastConfig.slowfast_r101_nl,
}


def filled(key: str, value: Tensor) -> Tensor:
    """The weight used for the stored outputs, a function of its name and shape."""
    random = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return torch.zeros_like(value)
    if key.endswith("running_var"):
        return 1 + 0.1 * torch.rand(value.shape, generator=random)
    normal = torch.randn(value.shape, generator=random)
    if value.ndim > 1:
        return normal * 0.7 / math.sqrt(math.prod(value.shape[1:]))
    return 1 + 0.02 * normal if key.endswith(".weight") else 0.02 * normal


def tiny(**changes: object) -> SlowFast:
    torch.manual_seed(0)
    return SlowFast(SlowFastConfig(**{**vars(TINY), **changes})).eval()


@pytest.mark.parametrize("name", FULL)
def test_names_and_shapes_are_canonical(name: str) -> None:
    with torch.device("meta"):
        model = SlowFast(FULL[name]())
    wanted = json.loads((DATA / f"{name}.json").read_text())
    head = wanted.pop("head.projection.weight")
    del wanted["head.projection.bias"]
    assert {key: list(x.shape) for key, x in model.state_dict().items()} == wanted
    assert head == [80, model.channels["res5"]]


@pytest.mark.parametrize(("name", "frames"), [("slowonly_r50_4x16", 4), ("slowfast_r50_8x8", 32)])
def test_outputs_equal_the_reference(name: str, frames: int) -> None:
    model = SlowFast(FULL[name]()).eval()
    model.load_state_dict({k: filled(k, v) for k, v in model.state_dict().items()})
    clip = torch.randn(1, 3, frames, 96, 128, generator=torch.Generator().manual_seed(0))
    stored = np.load(DATA / f"{name}.npz")
    with torch.no_grad():
        stages = model(clip)
    for stage, pathways in stages.items():
        for i, x in enumerate(pathways):
            assert x.shape == tuple(stored[f"{stage}_p{i}_shape"])
            d, t, h, w = stored[f"{stage}_p{i}_strides"]
            got = x[0, ::d, ::t, ::h, ::w].numpy()
            np.testing.assert_allclose(got, stored[f"{stage}_p{i}"], atol=1e-4)


def test_slow_frames_of_each_code_base() -> None:
    assert slow_index(32, 4, "linspace") == [0, 4, 8, 13, 17, 22, 26, 31]
    assert slow_index(32, 4, "nearest") == [0, 4, 8, 12, 16, 20, 24, 28]
    assert slow_index(1, 4, "linspace") == slow_index(1, 4, "nearest") == [0]


@pytest.mark.parametrize("frames", [8, 9, 11, 32])
@pytest.mark.parametrize("size", [(64, 64), (50, 70)])
def test_any_length_and_size(frames: int, size: tuple[int, int]) -> None:
    model = tiny()
    with torch.no_grad():
        stages = model(torch.randn(2, 3, frames, *size))
    for name, (slow, fast) in stages.items():
        assert slow.shape[1] + fast.shape[1] == model.channels[name]
        assert (slow.shape[2], fast.shape[2]) == (-(-frames // 4), frames)
        assert slow.shape[3:] == fast.shape[3:]
        assert slow.shape[3] == -(-size[0] // model.strides[name])


def test_slow_only_takes_the_clip_unchanged() -> None:
    model = tiny(fast=False, nonlocal4=())
    with torch.no_grad():
        (slow,) = model(torch.randn(1, 3, 4, 64, 64))["res5"]
    assert slow.shape == (1, 256, 4, 4, 4)
    assert not [name for name in model.state_dict() if "pathway1" in name or "fuse" in name]


def test_stages_map_pathways_to_pathways() -> None:
    model, clip = tiny(), torch.randn(1, 3, 8, 64, 64)
    with torch.no_grad():
        maps = model.s1(model.pathways(clip))
        assert [x.shape[1] for x in maps] == [8, 2]
        maps = model.get_submodule("s2")(model.get_submodule("s1_fuse")(maps))
        for got, want in zip(maps, model(clip)["res2"], strict=True):
            assert torch.equal(got, want)


def test_stride_of_the_last_stage() -> None:
    model = tiny(stride5=2, dilation=(1, 1))
    with torch.no_grad():
        slow, _ = model(torch.randn(1, 3, 8, 64, 64))["res5"]
    assert slow.shape[-1] == 2
    assert model.strides["res5"] == 32


def test_dilation_differs_by_pathway() -> None:
    torch.manual_seed(1)
    clip, same = torch.randn(1, 3, 8, 96, 96), tiny()
    state = {k: filled(k, v) for k, v in same.state_dict().items()}
    outputs = {}
    for dilation in [(2, 2), (2, 1)]:
        model = tiny(dilation=dilation)
        model.load_state_dict(state)
        with torch.no_grad():
            outputs[dilation] = model(clip)["res5"]
    assert torch.equal(outputs[2, 2][0], outputs[2, 1][0])
    assert not torch.allclose(outputs[2, 2][1], outputs[2, 1][1])


def test_fusion_without_norm_has_no_relu() -> None:
    with_norm, without = tiny(), tiny(fusion_norm=False)
    extra = set(with_norm.state_dict()) - set(without.state_dict())
    assert len(extra) == 4 * 5
    maps = [torch.zeros(1, 8, 2, 4, 4), torch.randn(1, 2, 8, 4, 4)]
    with torch.no_grad():
        fused, _ = without.get_submodule("s1_fuse")(maps)
        assert fused[:, 8:].min() < 0
        fused, _ = with_norm.get_submodule("s1_fuse")(maps)
        assert fused[:, 8:].min() == 0


def by_loops(block: NonLocal, x: Tensor) -> Tensor:
    """Wang et al.'s non-local block for one clip, position by position."""
    small = block.pool(x)
    if block.order == "pool-first":
        phi, g = block.conv_phi(small), block.conv_g(small)
    else:
        phi, g = block.pool(block.conv_phi(x)), block.pool(block.conv_g(x))
    theta, phi, g = (y[0].flatten(1).T for y in (block.conv_theta(x), phi, g))
    seen = torch.zeros(len(theta), theta.shape[1])
    for i, query in enumerate(theta):
        for key, value in zip(phi, g, strict=True):
            seen[i] += (query @ key) / len(phi) * value
    return x + block.bn(block.conv_out(seen.T.reshape(1, -1, *x.shape[2:])))


@pytest.mark.parametrize("order", ["pool-first", "conv-first"])
def test_non_local_relates_all_positions(order: str) -> None:
    torch.manual_seed(0)
    block, x = NonLocal(6, order).eval(), torch.randn(1, 6, 2, 4, 5)
    with torch.no_grad():
        torch.testing.assert_close(block(x), by_loops(block, x), atol=1e-5, rtol=1e-4)
