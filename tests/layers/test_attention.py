"""Attention and token importance against the full N x N map."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stadkit.layers import attention as module
from stadkit.layers.attention import Attention, DropPath, TransformerBlock, attend


def filled(module: nn.Module, dtype: torch.dtype = torch.float32) -> Any:
    """Weights large enough that tokens differ in the attention they receive."""
    random = torch.Generator().manual_seed(0)
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.5, generator=random)
    return module.to(dtype)


def tokens(count: int, clips: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(clips, count, 8, generator=torch.Generator().manual_seed(1)).to(dtype)


def by_map(attention: Attention, x: Tensor) -> tuple[Tensor, Tensor]:
    """The output of `attention`, and its full map [B, heads, N, N]."""
    width, heads = x.shape[2], attention.heads
    q, k, v = (x @ attention.qkv.weight.T).split(width, 2)
    q, v = q + attention.q_bias, v + attention.v_bias
    q, k, v = (y.view(len(x), -1, heads, width // heads).transpose(1, 2) for y in (q, k, v))
    whole = (q @ k.transpose(2, 3) / (width // heads) ** 0.5).softmax(3)
    out: Tensor = attention.proj((whole @ v).transpose(1, 2).flatten(2))
    return out, whole


def test_tokens_attend_to_all_tokens_of_their_clip() -> None:
    attention, x = filled(Attention(8, 2)), tokens(7)
    torch.testing.assert_close(attention(x), by_map(attention, x)[0])


def test_queries_limits_attention_to_the_last_tokens() -> None:
    attention, x = filled(Attention(8, 2)), tokens(7)
    torch.testing.assert_close(attention(x, 3), attention(x)[:, -3:])
    assert attention(x, 0).shape == (2, 0, 8)


@pytest.mark.parametrize("queries", [None, 3])
def test_keys_masks_tokens(queries: int | None) -> None:
    block, x = filled(TransformerBlock(8, 2)), tokens(7)
    keys = torch.ones(2, 7, dtype=torch.bool)
    keys[0, [1, 5]] = False
    got = block(x, queries, keys)
    alone = block(x[:1, keys[0]], 1)  # the last token, without the masked ones
    torch.testing.assert_close(got[:1, -1:], alone)
    torch.testing.assert_close(got[1], block(x, queries)[1])


def test_importance_by_hand() -> None:
    attention = Attention(8, 2)
    nn.init.zeros_(attention.qkv.weight)  # each of the 4 tokens receives a quarter of each query
    _, importance = attention.with_importance(tokens(4), 1, 4.0)
    assert importance.tolist() == [[(4 + 3) / 4 / 4] * 3] * 2


@pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float32, 1e-6), (torch.float64, 1e-14)], ids=str
)
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_importance_equals_that_of_the_full_map(
    dtype: torch.dtype, close: float, grad: bool, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    attention, x = filled(Attention(8, 4), dtype), tokens(300, 7, dtype)
    with torch.set_grad_enabled(grad):
        out, importance = attention.with_importance(x, 37, 4.0)
    wanted, whole = by_map(attention, x)
    whole = torch.cat([4 * whole[:, :, :37], whole[:, :, 37:]], 2)
    assert importance.dtype == dtype
    torch.testing.assert_close(importance, whole.mean((1, 2))[:, 37:], rtol=0, atol=close)
    torch.testing.assert_close(out, wanted)


def parts(kind: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q, k, v [5, 4, 300, 8], more maps than two threads process at once; query weights."""
    random = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(5, 4, 300, 8, generator=random).to(kind) * 2 for _ in range(3))
    return q, k, v, torch.linspace(0.5, 2, 300)


def by_hand(q: Tensor, k: Tensor, v: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """`attend` by the full map, in the dtype of `share`."""
    q, k, v = (x.to(share.dtype) for x in (q, k, v))
    whole = (q @ k.transpose(2, 3) / 8**0.5).softmax(3)
    return whole @ v, (share[:, None] * whole).sum((1, 2))


@pytest.mark.parametrize("threads", [1, 2])
def test_number_of_threads_does_not_change_results(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert torch.get_num_threads() == threads
        out, received = attend(*parts(torch.float32))
    finally:
        torch.set_num_threads(before)
    wanted, whole = by_hand(*parts(torch.float32))
    torch.testing.assert_close(out, wanted)
    torch.testing.assert_close(received, whole)


def test_low_precision_products_are_close_to_exact_ones() -> None:
    q, k, v, share = parts(torch.bfloat16)
    wanted, whole = by_hand(q, k, v, share)
    for short, close in ((False, 0.004), (True, 0.03)):  # bfloat16 has 8 bits of precision
        out, received = attend(q, k, v, share, short)
        assert (out.dtype, received.dtype) == (torch.bfloat16, torch.float32)
        assert (out - wanted).std() < close * wanted.std()
        torch.testing.assert_close(received, whole, rtol=close, atol=0)
    exact = attend(q.float(), k.float(), v.float(), share)
    assert torch.equal(attend(q, k, v, share, False)[1], exact[1])
    assert not torch.equal(received, exact[1])
    # Uniform attention is 1 / 300 for each key, which in bfloat16 would be 1 / 300.6.
    _, received = attend(torch.zeros_like(q), k, v, share, low_precision=True)
    torch.testing.assert_close(received, (4 * share.sum() / 300).expand(5, 300))


def test_products_are_low_precision_with_amx(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    q, k, v, share = parts(torch.bfloat16)
    for amx in (False, True):
        monkeypatch.setattr(module, "AMX", amx)
        assert torch.equal(attend(q, k, v, share)[1], attend(q, k, v, share, amx)[1])
    exact = parts(torch.float32)
    torch.testing.assert_close(attend(*exact)[1], by_hand(*exact)[1])


def gradients(attention: Attention, out: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(out.square().sum(), list(attention.parameters())))


def test_gradients_equal_those_of_attention_and_importance_has_none() -> None:
    attention, x = filled(Attention(8, 2), torch.float64), tokens(9, dtype=torch.float64)
    out, importance = attention.with_importance(x, 4, 4.0)
    assert not importance.requires_grad
    for got, wanted in zip(
        gradients(attention, out), gradients(attention, by_map(attention, x)[0]), strict=True
    ):
        torch.testing.assert_close(got, wanted)


class Largest(TorchDispatchMode):
    """Records the number of elements of the largest tensor created."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_leaves(out) if isinstance(x, Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return out


@pytest.mark.parametrize("grad", [False, True])
def test_the_full_map_is_never_allocated(grad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    attention, x = filled(Attention(8, 2)), tokens(1000, clips=1)
    with torch.set_grad_enabled(grad), Largest() as largest:
        out, _ = attention.with_importance(x, 4, 4.0)
        if grad:
            out.sum().backward()
    assert 1000 * 3 * 8 <= largest.numbers <= 1000 * 128


def test_importance_is_float32_under_autocast() -> None:
    attention, x = filled(Attention(8, 2)), tokens(200)
    wanted, whole = by_map(attention, x)
    for grad in (False, True):
        with torch.set_grad_enabled(grad), torch.autocast("cpu", torch.bfloat16):
            out, importance = attention.with_importance(x, 50, 1.0)
        assert out.dtype == torch.bfloat16
        assert importance.dtype == torch.float32
        torch.testing.assert_close(out.float(), wanted, rtol=0.05, atol=0.05)
        torch.testing.assert_close(importance, whole.mean((1, 2))[:, 50:], rtol=0.05, atol=0)


def test_meta_device() -> None:
    attention = Attention(8, 2).to("meta")
    out, importance = attention.with_importance(torch.empty(3, 9, 8, device="meta"), 4, 1.0)
    assert out.shape == (3, 9, 8)
    assert importance.shape == (3, 5)


def test_last_tokens_of_a_block_equal_those_of_the_full_block() -> None:
    block, x = filled(TransformerBlock(8, 2)), tokens(7)
    torch.testing.assert_close(block(x, 3), block(x)[:, -3:])


def test_a_block_is_norm_attention_norm_mlp() -> None:
    block, x = filled(TransformerBlock(8, 2, ratio=3)), tokens(7)
    assert block.mlp.fc1.weight.shape == (24, 8)
    middle = x + by_map(block.attn, block.norm1(x))[0]
    hidden = block.mlp.fc1(block.norm2(middle))
    hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
    torch.testing.assert_close(block(x), middle + block.mlp.fc2(hidden))


def test_pruning_keeps_the_most_important_tokens_best_first() -> None:
    block, x = filled(TransformerBlock(8, 2)), tokens(9)
    got, index = block.prune(x, 4, 3, 2.0)
    _, importance = block.attn.with_importance(block.norm1(x), 4, 2.0)
    for clip in range(2):
        best = sorted(range(5), key=lambda i, c=clip: -importance[c, i])[:3]
        assert index[clip].tolist() == best
        rows = [0, 1, 2, 3] + [4 + i for i in best]
        torch.testing.assert_close(got[clip], block(x)[clip, rows])


def test_drop_path_drops_whole_clips() -> None:
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.ones(4000, 2, 3)
    out = drop(x)
    kept = out.flatten(1).amax(1) > 0
    assert (out[kept] == 1 / 0.75).all()
    assert (out[~kept] == 0).all()
    assert out.mean() == pytest.approx(1, abs=0.03)
    assert drop.eval()(x) is x


def test_a_block_drops_both_of_its_paths() -> None:
    block, x = filled(TransformerBlock(8, 2, drop_path=0.999999)), tokens(7)
    assert torch.equal(block(x), x)
    got, index = block.prune(x, 4, 2, 1.0)
    assert torch.equal(got[:, 4:], x[:, 4:].gather(1, index[..., None].expand(-1, -1, 8)))
    assert not torch.equal(block.eval()(x), x)
