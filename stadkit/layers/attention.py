"""Vision transformer blocks (Dosovitskiy et al. 2021, Fig. 1), as in VideoMAE, and fixed
spatio-temporal position codes.

Shape letters: N tokens of a clip, D channels, d channels of one head.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Whether this CPU has bfloat16 matrix units.
_CPU_CAPABILITIES: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
AMX = bool(_CPU_CAPABILITIES.get("amx_bf16"))


class Attention(nn.Module):
    """Multi-head self-attention among the tokens [B, N, D] of a clip; keys have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, queries: int | None = None, keys: Tensor | None = None) -> Tensor:
        """x [B, N, D] -> [B, N, D]; with queries=q, only the last q tokens attend: [B, q, D].

        keys [B, N] bool: tokens to attend to, at least one per clip; None: all.
        """
        if queries is None:
            q, k, v = self._split(x)
        else:
            q, k, v = self._split_last(x, queries)
        mask = None if keys is None else keys[:, None, None]  # [B, 1, 1, N]
        return self._join(F.scaled_dot_product_attention(q, k, v, mask))

    def with_importance(self, x: Tensor, keyframe: int, weight: float) -> tuple[Tensor, Tensor]:
        """`forward(x)`, and the importance of every token after the first `keyframe`.

        importance [B, N - keyframe], float32 (float64 for float64 x), no gradient: EVAD Eq. 3, the
        attention a token receives, averaged over heads and over all N queries, with the key
        frame's queries weighted by `weight`.
        """
        q, k, v = self._split(x)
        heads, tokens = q.shape[1:3]
        dtype = torch.promote_types(q.dtype, torch.float32)
        share = torch.ones(tokens, dtype=dtype, device=x.device)
        share[:keyframe] = weight
        if x.is_meta:  # only shapes and FLOPs matter: count the attention map once
            out, received = F.scaled_dot_product_attention(q, k, v), share.expand(len(x), -1)
        else:
            out, received = attend(q, k, v, share)
            if torch.is_grad_enabled() and q.requires_grad:
                out = F.scaled_dot_product_attention(q, k, v)  # stores no map for the backward pass
        return self._join(out), received[:, keyframe:] / (heads * tokens)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [B, heads, N, d]."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias).view(*x.shape[:2], 3, self.heads, -1)
        q, k, v = qkv.transpose(1, 3).unbind(2)
        return q, k, v

    def _split_last(self, x: Tensor, queries: int) -> tuple[Tensor, Tensor, Tensor]:
        """`_split` with queries [B, heads, queries, d] from the last tokens only."""
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
    q: Tensor, k: Tensor, v: Tensor, share: Tensor, low_precision: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Attention of q, k, v [B, heads, N, d], and the attention each key receives; no gradient.

    Returns (out [B, heads, N, d], received [B, N]); `received` sums a key's attention over heads
    and queries, query i weighted by share[i]. Computed in the dtype of `share`, one block of
    queries at a time, so memory is linear in N. low_precision: matrix products use the dtype of q,
    softmax and sums do not; None: where that is faster.
    """
    # Not the logsumexp of fused attention plus a second round of products: one round costs a
    # fifth more than fused attention alone, two cost two thirds more and need a private operator.
    if low_precision is None:
        low_precision = _low_precision_is_faster(q)
    dtype = q.dtype if low_precision else share.dtype
    count, heads, tokens, width = q.shape
    with torch.autocast(q.device.type, enabled=False):
        queries = q.to(dtype).flatten(0, 1) * width**-0.5
        keys = k.to(dtype).flatten(0, 1).transpose(1, 2).contiguous()  # for faster products
        values = v.to(dtype).flatten(0, 1).contiguous()
        out = torch.empty_like(values)
        received = share.new_zeros(count * heads, tokens)
        for head, rows in _blocks(q):
            score = queries[head, rows] @ keys[head]  # [heads, rows, N]
            score = score.softmax(2, dtype=share.dtype)
            out[head, rows] = score.to(dtype) @ values[head]
            received[head] += share[rows] @ score
    return out.view_as(q).to(q.dtype), received.view(count, heads, tokens).sum(1)


def _low_precision_is_faster(q: Tensor) -> bool:
    """Whether matrix products are faster in the dtype of q than in float32."""
    # Intel CPUs multiply bfloat16 fast only with AMX; GPUs do since Ampere, and nobody uses
    # bfloat16 on older ones.
    return q.dtype == torch.bfloat16 and (q.is_cuda or (q.device.type == "cpu" and AMX))


def _blocks(q: Tensor) -> list[tuple[slice, slice]]:
    """Blocks of q [B, heads, N, d]: (slice of the B * heads maps, slice of query rows) each."""
    count, heads, tokens, _ = q.shape
    if q.device.type == "cpu" and not torch.compiler.is_compiling():
        # One thread: blocks that fit its cache. Several: fewer, larger blocks, since all threads
        # wait for the slowest in each, which takes long on a busy machine.
        threads = torch.get_num_threads()
        maps, rows = 8 * threads if threads > 1 else 1, 128
    else:
        maps = count * heads
        rows = max(1, 2**25 // (maps * tokens))  # few large steps; at most 128 MiB of float32
    return [
        (slice(head, head + maps), slice(row, row + rows))
        for head in range(0, count * heads, maps)
        for row in range(0, tokens, rows)
    ]


class Mlp(nn.Module):
    """Two linear layers with a GELU in between, on each token [..., D]."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): zeroes x [B, ...] for random clips in training.

    The remaining clips are scaled up to keep the expected value.
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


class TransformerBlock(nn.Module):
    """Pre-norm transformer block: attention, then an MLP, each with a residual connection."""

    def __init__(self, width: int, heads: int, drop_path: float = 0.0, ratio: int = 4) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, ratio * width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, queries: int | None = None, keys: Tensor | None = None) -> Tensor:
        """x [B, N, D] -> [B, N, D]; with queries=q, only the last q tokens are kept: [B, q, D].

        keys [B, N] bool: tokens that may be attended to; None: all.
        """
        kept = x if queries is None else x.narrow(1, x.shape[1] - queries, queries)
        kept = kept + self.drop_path(self.attn(self.norm1(x), queries, keys))
        return self._feed_forward(kept)

    def prune(self, x: Tensor, keyframe: int, keep: int, weight: float) -> tuple[Tensor, Tensor]:
        """All tokens [B, N, D] attend; then only the key frame's and `keep` others are kept.

        Returns tokens [B, keyframe + keep, D], the key frame's first, then the others by
        decreasing importance, and the indices [B, keep] of these among the N - keyframe.
        """
        more, importance = self.attn.with_importance(self.norm1(x), keyframe, weight)
        x = x + self.drop_path(more)
        index = importance.topk(keep, 1).indices
        return self._feed_forward(_take(x, keyframe, index)), index

    def _feed_forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


def _take(x: Tensor, first: int, index: Tensor) -> Tensor:
    """The `first` tokens of x [B, N, D], then those at index [B, n] among the rest."""
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

    The sinusoid table has t x base cells; if (h, w) is not base, each slice is resized to (h, w)
    by bicubic interpolation. Cached: never modify it in place.
    """
    slices, height, width_ = grid
    # A tensor made in inference mode could not be used in a later training step.
    with torch.inference_mode(False), torch.no_grad():
        table = sinusoid(slices * base[0] * base[1], width)
        if (height, width_) == base:
            return table
        # In float64: in float32 the last digit, and so which tokens are kept, varies by machine.
        maps = table.double().view(slices, *base, width).permute(0, 3, 1, 2)
        maps = F.interpolate(maps, (height, width_), mode="bicubic", align_corners=False)
        return maps.permute(0, 2, 3, 1).reshape(-1, width).float()
