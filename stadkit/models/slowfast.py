"""SlowFast and SlowOnly (Feichtenhofer et al. 2019) as detection backbones.

Parameters have PySlowFast's names (`s2.pathway0_res0.branch2.a.weight`): pathway 0 is slow,
1 is fast. Stages `s1` to `s5` each map a list of pathways to a list of pathways. The last stage
keeps stride 16 and dilates its convolutions instead. Non-local blocks (Wang et al. 2018) relate all
positions of a clip's map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.conv import Conv3d
from stadkit.layers.memory_format import concat_channels_last

STAGES = ("res2", "res3", "res4", "res5")


@dataclass(frozen=True)
class SlowFastConfig:
    """Architecture only; defaults are SlowFast-R50 8x8 as PySlowFast trains it on AVA.

    Code bases differ in `dilation`, `fusion_norm` and `slow_frames`: use the checkpoint's.
    """

    depths: tuple[int, ...] = (3, 4, 6, 3)  # blocks of res2..res5
    temporal: tuple[int, ...] = (3, 4, 6, 3)  # leading blocks with temporal convolutions
    slow_kernels: tuple[int, ...] = (1, 1, 3, 3)  # temporal kernels of res2..res5; fast: 3
    width: int = 64  # channels after the slow stem
    fast: bool = True  # False: SlowOnly
    alpha: int = 4  # fast frames per slow frame
    beta: int = 8  # slow channels per fast channel
    fusion_kernel: int = 7  # frames
    fusion_norm: bool = True  # norm and ReLU after fast-to-slow; MMAction2 has neither
    slow_frames: str = "linspace"  # includes first and last frame; MMAction2: "nearest"
    stride5: int = 1  # of res5; STMixer: 2
    dilation: tuple[int, int] = (2, 2)  # of res5, slow and fast; MMAction2: 1, SE-STAD: 2, 1
    nonlocal3: tuple[int, ...] = ()  # res3 blocks followed by a non-local block, slow pathway
    nonlocal4: tuple[int, ...] = ()  # the same for res4
    nonlocal_order: str = "pool-first"  # or "conv-first"; see NonLocal
    nonlocal_kind: str = "dot"  # MMAction2: "gaussian", see GaussianNonLocal

    @classmethod
    def slowonly_r50(cls, **changes: Any) -> SlowFastConfig:
        """SlowOnly-R50 4x16: 4 frames, 16 apart at 30 fps."""
        return cls(**{"fast": False, **changes})

    @classmethod
    def slowfast_r50(cls, **changes: Any) -> SlowFastConfig:
        """SlowFast-R50 8x8: 32 frames, 2 apart."""
        return cls(**changes)

    @classmethod
    def slowfast_r101_nl(cls, **changes: Any) -> SlowFastConfig:
        """SlowFast-R101 8x8, three non-local blocks; temporal kernels in 6 of res4's 23 blocks."""
        settings = {"depths": (3, 4, 23, 3), "fusion_kernel": 5, "nonlocal4": (6, 13, 20)}
        return cls(**{**settings, **changes})


class SlowFast(nn.Module):
    """pixels [B, 3, T, H, W] -> {"res2".."res5": [slow [B, D, ceil(T / alpha), h, w], fast]}.

    Stage outputs are taken before fast is fused into slow. With two pathways the clip is the fast
    one, and the slow frames are selected here; SlowOnly takes the clip unchanged.
    """

    def __init__(self, config: SlowFastConfig) -> None:
        super().__init__()
        self.config = config
        widths = (config.width, config.width // config.beta)[: 1 + config.fast]
        inside = list(widths)
        self.s1 = Stems(widths)
        self.channels: dict[str, int] = {}
        for i, name in enumerate(STAGES):
            if config.fast:
                self.add_module(f"s{i + 1}_fuse", _fuse(inside[1], config))
                inside[0] += 2 * inside[1]
            outside = [width * 4 * 2**i for width in widths]
            self.add_module(f"s{i + 2}", _stage(config, i, inside, outside))
            self.channels[name] = sum(outside)
            inside = outside
        self.strides = dict(zip(STAGES, (4, 8, 16, 16 * config.stride5), strict=True))
        _initialise(self)

    def forward(self, pixels: Tensor) -> dict[str, list[Tensor]]:
        maps: list[Tensor] = self.s1(self.pathways(pixels))
        stages = {}
        for i, name in enumerate(STAGES):
            if self.config.fast:
                maps = self.get_submodule(f"s{i + 1}_fuse")(maps)
            maps = self.get_submodule(f"s{i + 2}")(maps)
            stages[name] = maps
        return stages

    def pathways(self, pixels: Tensor) -> list[Tensor]:
        """The stem's inputs: [slow [B, 3, ceil(T / alpha), H, W], fast [B, 3, T, H, W]]."""
        if not self.config.fast:
            return [pixels]
        index = slow_index(pixels.shape[2], self.config.alpha, self.config.slow_frames)
        return [pixels[:, :, index], pixels]


def slow_index(frames: int, alpha: int, rule: str) -> list[int]:
    """Indices of the slow frames among `frames`, one in `alpha`.

    "linspace" (PySlowFast) spreads them from the first frame to the last: 0 4 8 13 17 22 26 31
    of 32. "nearest" (MMAction2) takes every alpha-th: 0 4 .. 28.
    """
    if rule == "nearest":
        return list(range(0, frames, alpha))
    spread = torch.linspace(0, frames - 1, -(-frames // alpha), device="cpu")
    return [int(x) for x in spread.tolist()]


class PathwayStem(nn.Module):
    """[B, 3, T, H, W] -> [B, D, T, H / 4, W / 4]: 7 x 7 over `time` frames, then max pool."""

    def __init__(self, outside: int, time: int) -> None:
        super().__init__()
        self.conv = Conv3d(
            3, outside, (time, 7, 7), (1, 2, 2), padding=(time // 2, 3, 3), bias=False
        )
        self.bn = nn.BatchNorm3d(outside)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), padding=(0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(F.relu(self.bn(self.conv(x)), inplace=True))  # type: ignore[no-any-return]


class Stems(nn.Module):
    """s1: pathways [B, 3, T, H, W] -> [B, D, T, H / 4, W / 4]; temporal kernels 1 slow, 5 fast."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        for i, (width, time) in enumerate(zip(widths, (1, 5), strict=False)):
            self.add_module(f"pathway{i}_stem", PathwayStem(width, time))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return [self.get_submodule(f"pathway{i}_stem")(x) for i, x in enumerate(maps)]


class Branch(nn.Module):
    """The bottleneck [B, inside, T, h, w] -> [B, outside, T, h / stride, w / stride].

    a convolves over time (1 or 3 frames), b over space, c expands the channels.
    """

    def __init__(
        self, inside: int, inner: int, outside: int, time: int, stride: int, dilation: int
    ) -> None:
        super().__init__()
        self.a = Conv3d(inside, inner, (time, 1, 1), padding=(time // 2, 0, 0), bias=False)
        self.a_bn = nn.BatchNorm3d(inner)
        self.b = Conv3d(
            inner,
            inner,
            (1, 3, 3),
            (1, stride, stride),
            padding=(0, dilation, dilation),
            dilation=(1, dilation, dilation),
            bias=False,
        )
        self.b_bn = nn.BatchNorm3d(inner)
        self.c = Conv3d(inner, outside, 1, bias=False)
        self.c_bn = nn.BatchNorm3d(outside)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a_bn(self.a(x)), inplace=True)
        x = F.relu(self.b_bn(self.b(x)), inplace=True)
        return self.c_bn(self.c(x))  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """[B, inside, T, h, w] -> [B, outside, T, h / stride, w / stride], both rounded up.

    A bottleneck with an identity shortcut, or a convolutional one if the shape changes.
    """

    def __init__(
        self, inside: int, inner: int, outside: int, time: int, stride: int, dilation: int
    ) -> None:
        super().__init__()
        self.branch1: nn.Module | None = None
        if inside != outside or stride != 1:
            self.branch1 = Conv3d(inside, outside, 1, (1, stride, stride), bias=False)
            self.branch1_bn = nn.BatchNorm3d(outside)
        self.branch2 = Branch(inside, inner, outside, time, stride, dilation)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.branch1 is None else self.branch1_bn(self.branch1(x))
        # In place: the branch output is not used elsewhere, and allocating memory is slow.
        return F.relu(self.branch2(x).add_(shortcut), inplace=True)


class ResidualStage(nn.Module):
    """s2..s5: each pathway's blocks `pathwayP_resI` and non-local blocks `pathwayP_nonlocalI`."""

    def __init__(self, pathways: Sequence[dict[str, nn.Module]]) -> None:
        super().__init__()
        self.names = [[f"pathway{i}_{n}" for n in blocks] for i, blocks in enumerate(pathways)]
        for names, blocks in zip(self.names, pathways, strict=True):
            for name, block in zip(names, blocks.values(), strict=True):
                self.add_module(name, block)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return [self._pathway(x, names) for x, names in zip(maps, self.names, strict=True)]

    def _pathway(self, x: Tensor, names: list[str]) -> Tensor:
        for name in names:
            x = self.get_submodule(name)(x)
        return x


class PathwayFusion(nn.Module):
    """[slow [B, D, T / alpha, h, w], fast [B, F, T, h, w]] -> [slow [B, D + 2 F, ...], fast].

    Concatenates fast features, one frame in `alpha`, to the slow ones; fast is unchanged.
    """

    def __init__(self, fast: int, kernel: int, alpha: int, norm: bool) -> None:
        super().__init__()
        self.conv_f2s = Conv3d(
            fast, 2 * fast, (kernel, 1, 1), (alpha, 1, 1), padding=(kernel // 2, 0, 0), bias=False
        )
        self.bn: nn.Module | None = nn.BatchNorm3d(2 * fast) if norm else None

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        slow, fast = maps
        fused = self.conv_f2s(fast)
        if self.bn is not None:
            fused = F.relu(self.bn(fused), inplace=True)
        return [concat_channels_last([slow, fused]), fast]


def _fuse(fast: int, config: SlowFastConfig) -> PathwayFusion:
    return PathwayFusion(fast, config.fusion_kernel, config.alpha, config.fusion_norm)


def _stage(
    config: SlowFastConfig, stage: int, inside: Sequence[int], outside: Sequence[int]
) -> ResidualStage:
    """Build stage 0..3 (res2..res5) for all pathways, with their input and output channels."""
    last = stage == 3
    stride = (1, 2, 2, config.stride5)[stage]
    nonlocal_blocks = {1: config.nonlocal3, 2: config.nonlocal4}.get(stage, ())
    pathways = []
    for i, (before, after) in enumerate(zip(inside, outside, strict=True)):
        blocks: dict[str, nn.Module] = {}
        kernel = config.slow_kernels[stage] if i == 0 else 3
        for n in range(config.depths[stage]):
            blocks[f"res{n}"] = ResidualBlock(
                before if n == 0 else after,
                after // 4,
                after,
                kernel if n < config.temporal[stage] else 1,
                stride if n == 0 else 1,
                config.dilation[i] if last else 1,
            )
            if i == 0 and n in nonlocal_blocks:
                blocks[f"nonlocal{n}"] = _nonlocal(after, config)
        pathways.append(blocks)
    return ResidualStage(pathways)


def _nonlocal(channels: int, config: SlowFastConfig) -> nn.Module:
    if config.nonlocal_kind == "gaussian":
        return GaussianNonLocal(channels)
    return NonLocal(channels, config.nonlocal_order)


def _initialise(model: nn.Module) -> None:
    """Kaiming normal, fan-out; blocks start as the identity (weights of the last norm are 0)."""
    if next(model.parameters()).is_meta:
        return  # meta tensors hold no values, yet drawing them dominates construction time
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, Branch):
            nn.init.zeros_(module.c_bn.weight)
        elif isinstance(module, NonLocal | GaussianNonLocal):
            nn.init.zeros_(module.bn.weight)


class NonLocal(nn.Module):
    """Non-local block, [B, D, T, h, w] -> same shape (Wang et al. 2018, dot product).

    A max pool halves keys and values in time, height and width, before their convolutions
    ("pool-first", PySlowFast) or after ("conv-first", same weights).
    """

    def __init__(self, channels: int, order: str) -> None:
        super().__init__()
        inner = channels // 2
        self.order = order
        self.conv_theta = Conv3d(channels, inner, 1)
        self.conv_phi = Conv3d(channels, inner, 1)
        self.conv_g = Conv3d(channels, inner, 1)
        self.conv_out = Conv3d(inner, channels, 1)
        self.bn = nn.BatchNorm3d(channels)
        self.pool = nn.MaxPool3d(2)

    def forward(self, x: Tensor) -> Tensor:
        query = self.conv_theta(x).flatten(2)  # [B, D, N]
        if self.order == "pool-first":
            small = self.pool(x)
            key, value = self.conv_phi(small), self.conv_g(small)
        else:
            key, value = self.pool(self.conv_phi(x)), self.pool(self.conv_g(x))
        key, value = key.flatten(2), value.flatten(2)  # [B, D, M]
        affinity = query.transpose(1, 2) @ key / key.shape[2]  # [B, N, M]
        attended = value @ affinity.transpose(1, 2)  # [B, D, N]
        return x + self.bn(self.conv_out(attended.unflatten(2, x.shape[2:])))  # type: ignore[no-any-return]


class GaussianNonLocal(nn.Module):
    """MMAction2's non-local block, [B, D, T, h, w] -> same shape: the embedded Gaussian.

    Affinities are scaled by 1 / sqrt(inner channels) and softmaxed; keys and values are pooled in
    height and width, not in time, after their convolutions; `conv_out` has no bias.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.conv_theta = Conv3d(channels, inner, 1)
        self.conv_phi = Conv3d(channels, inner, 1)
        self.conv_g = Conv3d(channels, inner, 1)
        self.conv_out = Conv3d(inner, channels, 1, bias=False)
        self.bn = nn.BatchNorm3d(channels)
        self.pool = nn.MaxPool3d((1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        query = self.conv_theta(x).flatten(2)  # [B, D, N]
        key = self.pool(self.conv_phi(x)).flatten(2)  # [B, D, M]
        value = self.pool(self.conv_g(x)).flatten(2)  # [B, D, M]
        affinity = (query.transpose(1, 2) @ key / query.shape[1] ** 0.5).softmax(2)  # [B, N, M]
        attended = value @ affinity.transpose(1, 2)  # [B, D, N]
        return x + self.bn(self.conv_out(attended.unflatten(2, x.shape[2:])))  # type: ignore[no-any-return]
