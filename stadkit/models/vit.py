"""VideoMAE's ViT (Tong et al. 2022) with EVAD's pruning of tokens outside the key frame.

Letters in addition to those of `stadkit.models`: N current tokens, N1 key-frame tokens (h * w).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.errors import UsageError
from stadkit.layers.attention import TransformerBlock, positions
from stadkit.models.lite import LitePatches
from stadkit.models.settings import check_cells, check_counts, check_rate, check_split, to_tuples

STEMS = ("pixels", "lite")


@dataclass(frozen=True)
class VitConfig:
    """Architecture only; defaults are ViT-B. Raises UsageError for invalid settings."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    patch: int = 16  # pixels per side of a token
    tubelet: int = 2  # frames per token
    base: tuple[int, int] = (14, 14)  # cells (h, w) of the original position codes
    maps_at: tuple[int, ...] = (2, 5, 8, 11)  # blocks whose key-frame tokens become maps
    prune_at: tuple[int, ...] = (3, 6, 9)  # blocks that prune tokens
    keep_rate: float = 1.0  # rho of EVAD: the share that a pruning block keeps; 1: no pruning
    keyframe_weight: float = 1.0  # w_kf of EVAD's token importance
    drop_path: float = 0.1  # of the last block; falls linearly to 0 at the first
    stem: str = "pixels"  # input of the patch embedding; "lite": frozen EfficientNet-Lite maps

    def __post_init__(self) -> None:
        to_tuples(self, "base", "maps_at", "prune_at")
        check_counts(self, "depth", "patch", "tubelet")
        check_cells(self, "base")
        check_split(self, "width", "heads")
        check_rate(self, "drop_path")
        if not 0 < self.keep_rate <= 1:
            raise UsageError(
                f"VitConfig.keep_rate is {self.keep_rate}; it must be above 0 and at most 1."
            )
        if self.stem not in STEMS:
            raise UsageError(f"VitConfig.stem is {self.stem!r}; choose one of {', '.join(STEMS)}.")
        if self.stem == "lite" and (self.patch, self.tubelet) != (LitePatches.patch, 1):
            raise UsageError(
                f"VitConfig.stem is 'lite', which needs patch {LitePatches.patch} and tubelet 1; "
                f"got {self.patch} and {self.tubelet}."
            )
        for name in ("maps_at", "prune_at"):
            blocks: tuple[int, ...] = getattr(self, name)
            if list(blocks) != sorted({x for x in blocks if 0 <= x < self.depth}):
                raise UsageError(
                    f"VitConfig.{name} is {blocks}; list distinct blocks of 0..{self.depth - 1} "
                    "in ascending order."
                )


@dataclass(frozen=True)
class Tokens:
    """The remaining tokens of a clip; raises ValueError for a wrong shape."""

    token: Tensor  # [B, N, D]  after the last norm: the key frame's N1, then the other kept ones
    kept: Tensor  # [B, N - N1] int64: cell of each other token; raster order, key frame skipped
    grid: tuple[int, int, int]  # cells (t, h, w) of the clip
    maps: tuple[Tensor, ...]  # [B, D, h, w] each: the key frame after blocks `maps_at`, no norm
    stages: tuple[Tensor, ...]  # `kept` after each pruning block; empty without pruning

    def __post_init__(self) -> None:
        b, n, d = self.token.shape
        _, height, width = self.grid
        _check("kept", self.kept, b, n - height * width)
        for x in self.maps:
            _check("maps", x, b, d, height, width)


def _check(name: str, x: Tensor, *shape: int) -> None:
    if x.shape != shape:
        raise ValueError(f"Tokens.{name} has shape {list(x.shape)}, wants {list(shape)}")


class PatchEmbed(nn.Module):
    """Embed each cuboid of `tubelet` frames and `patch` x `patch` pixels as a token."""

    def __init__(self, width: int, patch: int, tubelet: int) -> None:
        super().__init__()
        size = (tubelet, patch, patch)
        self.proj = nn.Conv3d(3, width, size, size)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels [B, 3, T, H, W] -> tokens [B, t * h * w, D] in raster order."""
        # A matrix product is faster than the convolution, by a quarter in bfloat16.
        tubelet, patch, _ = self.proj.kernel_size
        count, colours, *size = pixels.shape
        t, h, w = (x // step for x, step in zip(size, self.proj.kernel_size, strict=True))
        cuboids = pixels.view(count, colours, t, tubelet, h, patch, w, patch)
        cuboids = cuboids.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(count, t * h * w, -1)
        return F.linear(cuboids, self.proj.weight.flatten(1), self.proj.bias)


class Vit(nn.Module):
    """`model(pixels) -> Tokens`, for any clip length and frame size in whole patches."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = (
            LitePatches(config.width)
            if config.stem == "lite"
            else PatchEmbed(config.width, config.patch, config.tubelet)
        )
        last = max(config.depth - 1, 1)
        rates = [config.drop_path * i / last for i in range(config.depth)]
        self.blocks = nn.ModuleList(TransformerBlock(config.width, config.heads, x) for x in rates)
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.apply(_initialise)

    def forward(self, pixels: Tensor) -> Tokens:
        """pixels [B, 3, T, H, W], normalised RGB; T multiple of `tubelet`, H and W of `patch`.

        Raises ValueError for other sizes, and UsageError if pruning would keep fewer tokens than
        the key frame has.
        """
        config = self.config
        grid = self.grid(pixels)
        keyframe = grid[1] * grid[2]
        keep = others_kept(grid, config.keep_rate, config.prune_at)
        x = self.patch_embed(pixels)
        x = _keyframe_first(x, grid) + self._positions(grid, x.device)
        kept = torch.arange(x.shape[1] - keyframe, device=x.device).expand(len(x), -1)
        maps, stages = [], []
        for i, block in enumerate(cast(Iterable[TransformerBlock], self.blocks)):
            if i in keep:
                x, index = block.prune(x, keyframe, keep[i], config.keyframe_weight)
                kept = kept.gather(1, index)
                stages.append(kept)
            else:
                x = block(x)
            if i in config.maps_at:
                maps.append(x[:, :keyframe].view(len(x), *grid[1:], -1).permute(0, 3, 1, 2))
        return Tokens(self.norm(x), kept, grid, tuple(maps), tuple(stages))

    def grid(self, pixels: Tensor) -> tuple[int, int, int]:
        """Cells (t, h, w) of pixels [B, 3, T, H, W]."""
        steps = (self.config.tubelet, self.config.patch, self.config.patch)
        size = pixels.shape[2:]
        if any(x < step or x % step for x, step in zip(size, steps, strict=True)):
            raise ValueError(f"Vit needs T, H, W to be multiples of {steps}, got {tuple(size)}")
        slices, height, width = (x // step for x, step in zip(size, steps, strict=True))
        return slices, height, width

    def _positions(self, grid: tuple[int, int, int], device: torch.device) -> Tensor:
        # In the dtype of the weights, so that token sums stay float32 under autocast.
        dtype = self.norm.weight.dtype
        codes: Tensor = _codes(grid, self.config.base, self.config.width, dtype, device)
        return codes


def keyframe_slice(slices: int) -> int:
    """Index of the key frame's slice: the first after the middle of the clip."""
    return slices // 2


def others_kept(grid: tuple[int, int, int], rate: float, prune_at: Sequence[int]) -> dict[int, int]:
    """{block: number of tokens outside the key frame that it keeps}; empty for rate 1.

    A block keeps ceil(rate * N) of its N input tokens, including all of the key frame; the others
    may drop to 0. Raises UsageError if the key frame does not fit.
    """
    if rate == 1:
        return {}
    kept = _kept_counts(grid, rate, len(prune_at))
    if min(kept, default=0) < 0:
        raise UsageError(
            f"keep_rate {rate} would prune tokens of the key frame of a clip of {grid} cells; the "
            f"smallest that works is {_smallest_rate(grid, len(prune_at))}."
        )
    return dict(zip(prune_at, kept, strict=True))


def _smallest_rate(grid: tuple[int, int, int], stages: int) -> float:
    """The smallest rate, to three decimals, that keeps the whole key frame; 1 always does."""
    rates = (p / 1000 for p in range(1, 1001))
    return next(rate for rate in rates if _kept_counts(grid, rate, stages)[-1] >= 0)


def _kept_counts(grid: tuple[int, int, int], rate: float, stages: int) -> list[int]:
    keyframe = grid[1] * grid[2]
    tokens, kept = grid[0] * keyframe, []
    for _ in range(stages):
        tokens = math.ceil(rate * tokens)
        kept.append(tokens - keyframe)
    return kept


def _keyframe_first(x: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Move the key frame's slice of x [..., t * h * w, D] (raster order) to the front."""
    cells = grid[1] * grid[2]
    first = keyframe_slice(grid[0]) * cells
    before, key, after = x.tensor_split((first, first + cells), -2)
    return torch.cat([key, before, after], -2)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _codes(
    grid: tuple[int, int, int],
    base: tuple[int, int],
    width: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Position codes [t * h * w, width], those of the key frame first."""
    return _cached_codes(grid, base, width, dtype, device)


@lru_cache(maxsize=4)
def _cached_codes(
    grid: tuple[int, int, int],
    base: tuple[int, int],
    width: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    with torch.inference_mode(False):
        return _keyframe_first(positions(grid, base, width), grid).to(device, dtype)


def _initialise(module: nn.Module) -> None:
    """Linear weights truncated normal, biases 0; norms and convolutions keep PyTorch's init."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
