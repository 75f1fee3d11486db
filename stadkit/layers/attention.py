"""Blocks of a vision transformer (Dosovitskiy et al. 2021, Fig. 1), as VideoMAE has them.

Letters here: N tokens of a clip, D channels, d channels of one head.

Fixed codes that tell a transformer where a token lies in space and time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Whether this CPU has units for products of bfloat16 matrices.
_ABLE: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
AMX = bool(_ABLE.get("amx_bf16"))


class Attention(nn.Module):
    """Every token [B, N, D] asks all tokens of its clip; keys have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, queries: int | None = None, keys: Tensor | None = None) -> Tensor:
        """x [B, N, D] -> [B, N, D]; with queries=q only the last q tokens ask: [B, q, D].

        keys [B, N] bool: which tokens are asked, at least one a clip; absent: all.
        """
        if queries is None:
            q, k, v = self._split(x)
        else:
            q, k, v = self._split_last(x, queries)
        mask = None if keys is None else keys[:, None, None]  # [B, 1, 1, N]
        return self._join(F.scaled_dot_product_attention(q, k, v, mask))

    def with_importance(self, x: Tensor, keyframe: int, weight: float) -> tuple[Tensor, Tensor]:
        """`forward(x)`, and how much is asked of each token but the first `keyframe`.

        importance [B, N - keyframe], float32 (float64 where x is), no gradient: EVAD Eq. 3, the
        attention that a token gets, mean over heads and over all N queries, where the queries of
        the key frame count `weight` times.
        """
        q, k, v = self._split(x)
        heads, tokens = q.shape[1:3]
        dtype = torch.promote_types(q.dtype, torch.float32)
        share = torch.ones(tokens, dtype=dtype, device=x.device)
        share[:keyframe] = weight
        if x.is_meta:  # where only shapes and products count: the method makes its map once
            out, given = F.scaled_dot_product_attention(q, k, v), share.expand(len(x), -1)
        else:
            out, given = attend(q, k, v, share)
            if torch.is_grad_enabled() and q.requires_grad:
                out = F.scaled_dot_product_attention(q, k, v)  # keeps no map for the way back
        return self._join(out), given[:, keyframe:] / (heads * tokens)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [B, heads, N, d]."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias).view(*x.shape[:2], 3, self.heads, -1)
        q, k, v = qkv.transpose(1, 3).unbind(2)
        return q, k, v

    def _split_last(self, x: Tensor, queries: int) -> tuple[Tensor, Tensor, Tensor]:
        """`_split` with queries [B, heads, queries, d] of the last tokens only."""
        width = len(self.q_bias)
        last = x.narrow(1, x.shape[1] - queries, queries)
        q = F.linear(last, self.qkv.weight[:width], self.q_bias)
        bias = torch.cat([torch.zeros_like(self.v_bias), self.v_bias])
        kv = F.linear(x, self.qkv.weight[width:], bias).view(*x.shape[:2], 2, self.heads, -1)
        k, v = kv.transpose(1, 3).unbind(2)
        return q.view(*last.shape[:2], *k.shape[1::2]).transpose(1, 2), k, v

    def _join(self, x: Tensor) -> Tensor:
        """[B, heads, N, d] -> [B, N, D]."""
        out: Tensor = self.proj(x.transpose(1, 2).flatten(2))
        return out


@torch.no_grad()
def attend(
    q: Tensor, k: Tensor, v: Tensor, share: Tensor, short: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Attention of q, k, v [B, heads, N, d], and what each key gets of it; no gradient.

    Returns (out [B, heads, N, d], given [B, N]); given sums a key's attention over heads and
    queries, query i counting share[i] times. Computed in the type of `share`, a block of queries
    at a time: memory grows with N, not with N squared. short: products are in the type of q,
    softmax and sums are not; absent: where that is faster.
    """
    # Not the logsumexp of fused attention and a second round of products: one round costs a
    # fifth more than fused attention alone, two cost two thirds more, and need a private operator.
    dtype = q.dtype if (_short_pays(q) if short is None else short) else share.dtype
    count, heads, tokens, width = q.shape
    with torch.autocast(q.device.type, enabled=False):
        queries = q.to(dtype).flatten(0, 1) * width**-0.5
        keys = k.to(dtype).flatten(0, 1).transpose(1, 2).contiguous()  # products are faster so
        values = v.to(dtype).flatten(0, 1).contiguous()
        out = torch.empty_like(values)
        given = share.new_zeros(count * heads, tokens)
        for head, rows in _blocks(q):
            score = queries[head, rows] @ keys[head]  # [heads, rows, N]
            score = score.softmax(2, dtype=share.dtype)
            out[head, rows] = score.to(dtype) @ values[head]
            given[head] += share[rows] @ score
    return out.view_as(q).to(q.dtype), given.view(count, heads, tokens).sum(1)


def _short_pays(q: Tensor) -> bool:
    """Whether products of q are faster in its own type than in float32."""
    # Intel's CPUs multiply bfloat16 fast with AMX only; GPUs do since Ampere, and where one does
    # not, nobody chooses bfloat16.
    return q.dtype == torch.bfloat16 and (q.is_cuda or (q.device.type == "cpu" and AMX))


def _blocks(q: Tensor) -> list[tuple[slice, slice]]:
    """What of q [B, heads, N, d] is done at once: (slice of the B * heads maps, slice of rows)."""
    count, heads, tokens, _ = q.shape
    if q.device.type == "cpu" and not torch.compiler.is_compiling():
        # One thread: what stays in its cache. More: fewer rounds, as in each they wait for the
        # last of them, which takes long on a busy machine.
        threads = torch.get_num_threads()
        some, rows = 8 * threads if threads > 1 else 1, 128
    else:
        some = count * heads
        rows = max(1, 2**25 // (some * tokens))  # few large steps; at most 128 MiB of float32
    return [
        (slice(head, head + some), slice(row, row + rows))
        for head in range(0, count * heads, some)
        for row in range(0, tokens, rows)
    ]


class Mlp(nn.Module):
    """Two layers with a GELU between, for each token [..., D]."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class DropPath(nn.Module):
    """In training, leaves out the whole of x [B, ...] for a share of the clips (Huang et al. 2016).

    What stays is scaled up, so that the expected sum is the same.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        stays = 1 - self.rate
        clips = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(stays)
        return x * (clips / stays)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each after a norm and beside the identity."""

    def __init__(self, width: int, heads: int, drop_path: float = 0.0, ratio: int = 4) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, ratio * width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, queries: int | None = None, keys: Tensor | None = None) -> Tensor:
        """x [B, N, D] -> [B, N, D]; with queries=q only the last q tokens go on: [B, q, D].

        keys [B, N] bool: which tokens the others may ask; absent: all.
        """
        stay = x if queries is None else x.narrow(1, x.shape[1] - queries, queries)
        stay = stay + self.drop_path(self.attn(self.norm1(x), queries, keys))
        return self._perceive(stay)

    def prune(self, x: Tensor, keyframe: int, keep: int, weight: float) -> tuple[Tensor, Tensor]:
        """All tokens [B, N, D] attend; then only the key frame's and `keep` others go on.

        Returns the tokens [B, keyframe + keep, D], of the key frame first, then the others from
        the most important on, and where [B, keep] these were among the N - keyframe.
        """
        more, importance = self.attn.with_importance(self.norm1(x), keyframe, weight)
        x = x + self.drop_path(more)
        index = importance.topk(keep, 1).indices
        return self._perceive(_take(x, keyframe, index)), index

    def _perceive(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


def _take(x: Tensor, first: int, index: Tensor) -> Tensor:
    """x [B, N, D]: the `first` tokens, and those that index [B, n] names among the others."""
    count, tokens = x.shape[:2]
    head = torch.arange(first, device=x.device).expand(count, -1)
    clip = torch.arange(count, device=x.device)[:, None] * tokens
    rows = (torch.cat([head, index + first], 1) + clip).flatten()
    return x.flatten(0, 1).index_select(0, rows).view(count, -1, x.shape[2])


def sinusoid(count: int, width: int) -> Tensor:
    """[count, width] float32: sines in the even columns, cosines in the odd ones.

    The angle of row p is p / 10000^(2 floor(j / 2) / width) in column j (Vaswani et al. 2017,
    section 3.5).
    """
    column = torch.arange(width, dtype=torch.float64, device="cpu")
    row = torch.arange(count, dtype=torch.float64, device="cpu")
    angle = row[:, None] / 10000 ** (2 * (column // 2) / width)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos()).float()


@lru_cache(maxsize=8)
def positions(grid: tuple[int, int, int], base: tuple[int, int], width: int) -> Tensor:
    """[t * h * w, width] float32 on the CPU: a code for each cell of grid (t, h, w), raster order.

    The table is of t x base cells; where (h, w) is not base, each of its slices is stretched to
    (h, w) by a bicubic. Cached: never change it in place.
    """
    slices, height, width_ = grid
    # A table of inference mode could not take part in a later training step.
    with torch.inference_mode(False), torch.no_grad():
        table = sinusoid(slices * base[0] * base[1], width)
        if (height, width_) == base:
            return table
        # In float64: in float32 the last digit, and with it which token is kept, is the machine's.
        maps = table.double().view(slices, *base, width).permute(0, 3, 1, 2)
        maps = F.interpolate(maps, (height, width_), mode="bicubic", align_corners=False)
        return maps.permute(0, 2, 3, 1).reshape(-1, width).float()
