"""Two-stage detectors computed step by step as in their sources, with PySlowFast's names."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Tensors = dict[str, Tensor]


def norm(x: Tensor, t: Tensors, name: str) -> Tensor:
    mean, var = t[f"{name}.running_mean"], t[f"{name}.running_var"]
    return F.batch_norm(x, mean, var, t[f"{name}.weight"], t[f"{name}.bias"], False, 0.0, 1e-5)


def block(x: Tensor, t: Tensors, name: str, stride: int, dilation: int) -> Tensor:
    same = x
    if f"{name}.branch1.weight" in t:
        same = F.conv3d(x, t[f"{name}.branch1.weight"], stride=(1, stride, stride))
        same = norm(same, t, f"{name}.branch1_bn")
    a, b, c = (t[f"{name}.branch2.{part}.weight"] for part in "abc")
    x = F.conv3d(x, a, padding=(a.shape[2] // 2, 0, 0))
    x = norm(x, t, f"{name}.branch2.a_bn").relu()
    space = (1, dilation, dilation)
    x = F.conv3d(x, b, stride=(1, stride, stride), padding=(0, dilation, dilation), dilation=space)
    x = norm(x, t, f"{name}.branch2.b_bn").relu()
    x = norm(F.conv3d(x, c), t, f"{name}.branch2.c_bn")
    return (x + same).relu()


def nonlocal_block(x: Tensor, t: Tensors, name: str, gaussian: bool) -> Tensor:
    def conv(x: Tensor, part: str) -> Tensor:
        return F.conv3d(x, t[f"{name}.conv_{part}.weight"], t.get(f"{name}.conv_{part}.bias"))

    clips, _, *size = x.shape
    theta = conv(x, "theta").reshape(clips, -1, math.prod(size)).transpose(1, 2)
    if gaussian:  # mmaction2: convolutions first, time is kept
        phi, g = (F.max_pool3d(conv(x, part), (1, 2, 2)) for part in ("phi", "g"))
    else:  # PySlowFast: pooling first, over time, too
        phi, g = (conv(F.max_pool3d(x, (2, 2, 2)), part) for part in ("phi", "g"))
    phi, g = phi.flatten(2), g.flatten(2)
    weight = theta @ phi
    weight = (weight / theta.shape[2] ** 0.5).softmax(2) if gaussian else weight / phi.shape[2]
    seen = (weight @ g.transpose(1, 2)).transpose(1, 2).reshape(clips, -1, *size)
    return x + norm(conv(seen, "out"), t, f"{name}.bn")


def slowfast(
    t: Tensors, pixels: Tensor, slow: Sequence[int] | None, dilation: int, gaussian: bool = False
) -> list[Tensor]:
    """The pathways after res5; slow: the slow pathway's frames, None if it is the only one."""
    maps = [pixels] if slow is None else [pixels[:, :, list(slow)], pixels]
    for p in range(len(maps)):
        kernel = t[f"s1.pathway{p}_stem.conv.weight"]
        x = F.conv3d(maps[p], kernel, stride=(1, 2, 2), padding=(kernel.shape[2] // 2, 3, 3))
        x = norm(x, t, f"s1.pathway{p}_stem.bn").relu()
        maps[p] = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for stage in range(2, 6):
        if slow is not None:
            maps[0] = torch.cat([maps[0], fused(maps, t, f"s{stage - 1}_fuse")], 1)
        for p in range(len(maps)):
            i = 0
            while f"s{stage}.pathway{p}_res{i}.branch2.a.weight" in t:
                stride = 2 if i == 0 and stage in (3, 4) else 1
                spread = dilation if stage == 5 else 1
                maps[p] = block(maps[p], t, f"s{stage}.pathway{p}_res{i}", stride, spread)
                name = f"s{stage}.pathway{p}_nonlocal{i}"
                if f"{name}.conv_theta.weight" in t:
                    maps[p] = nonlocal_block(maps[p], t, name, gaussian)
                i += 1
    return maps


def fused(maps: Sequence[Tensor], t: Tensors, name: str) -> Tensor:
    kernel = t[f"{name}.conv_f2s.weight"]
    alpha = maps[1].shape[2] // maps[0].shape[2]
    x = F.conv3d(maps[1], kernel, stride=(alpha, 1, 1), padding=(kernel.shape[2] // 2, 0, 0))
    return norm(x, t, f"{name}.bn").relu() if f"{name}.bn.weight" in t else x


def vit(t: Tensors, pixels: Tensor, heads: int, base: int) -> Tensor:
    """mmaction2's VideoMAE by its own names: [B, D, t, h, w], without partial patches."""
    x = F.conv3d(
        pixels, t["patch_embed.projection.weight"], t["patch_embed.projection.bias"], (2, 16, 16)
    )
    clips, width, frames, high, wide = x.shape
    table = t["pos_embed"].reshape(-1, base, base, width).permute(0, 3, 1, 2)
    table = F.interpolate(table, (high, wide), mode="bicubic", align_corners=False)
    x = (x + table.transpose(0, 1)[None]).flatten(2).transpose(1, 2)
    i = 0
    while f"blocks.{i}.norm1.weight" in t:
        x = x + attention(layer_norm(x, t, f"blocks.{i}.norm1"), t, f"blocks.{i}.attn", heads)
        y = layer_norm(x, t, f"blocks.{i}.norm2")
        y = F.gelu(linear(y, t, f"blocks.{i}.mlp.layers.0.0"))
        x = x + linear(y, t, f"blocks.{i}.mlp.layers.1")
        i += 1
    x = layer_norm(x, t, "norm")
    return x.reshape(clips, frames, high, wide, width).permute(0, 4, 1, 2, 3)


def attention(x: Tensor, t: Tensors, name: str, heads: int) -> Tensor:
    q_bias, v_bias = t[f"{name}.q_bias"], t[f"{name}.v_bias"]
    bias = torch.cat([q_bias, torch.zeros_like(q_bias), v_bias])
    qkv = F.linear(x, t[f"{name}.qkv.weight"], bias)
    q, k, v = qkv.reshape(*x.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
    weight = (q @ k.transpose(2, 3) / q.shape[3] ** 0.5).softmax(3)
    return linear((weight @ v).transpose(1, 2).flatten(2), t, f"{name}.proj")


def linear(x: Tensor, t: Tensors, name: str) -> Tensor:
    return F.linear(x, t[f"{name}.weight"], t[f"{name}.bias"])


def layer_norm(x: Tensor, t: Tensors, name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"], 1e-6)


def roi_align(maps: Tensor, box: Tensor, size: int, aligned: bool) -> Tensor:
    """One box (pixels) on maps [D, h, w] at stride 16: [D, size, size], point by point."""
    x1, y1, x2, y2 = (box / 16 - (0.5 if aligned else 0.0)).tolist()
    width, height = x2 - x1, y2 - y1
    if not aligned:
        width, height = max(width, 1.0), max(height, 1.0)
    down, across = math.ceil(height / size), math.ceil(width / size)
    out = maps.new_zeros(len(maps), size, size)
    for row in range(size):
        for col in range(size):
            for i in range(down):
                for j in range(across):
                    y = y1 + (row + (i + 0.5) / down) * height / size
                    x = x1 + (col + (j + 0.5) / across) * width / size
                    out[:, row, col] += point(maps, y, x) / (down * across)
    return out


def point(maps: Tensor, y: float, x: float) -> Tensor:
    height, width = maps.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return torch.zeros(len(maps))
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    top, left = int(y), int(x)
    low, right = min(top + 1, height - 1), min(left + 1, width - 1)
    above = maps[:, top, left] * (1 - x + left) + maps[:, top, right] * (x - left)
    below = maps[:, low, left] * (1 - x + left) + maps[:, low, right] * (x - left)
    return above * (1 - y + top) + below * (y - top)
