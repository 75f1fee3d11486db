"""Small VideoMAE files in several dialects, with the same values."""

from __future__ import annotations

import torch
from torch import Tensor

from stadkit.layers.attention import sinusoid
from stadkit.models.vit import Vit, VitConfig

CONFIG = VitConfig(width=16, depth=4, heads=2, base=(2, 2), prune_at=(1,), maps_at=(0, 1, 2, 3))


def backbone() -> dict[str, Tensor]:
    """Random `backbone.*` weights of a small transformer."""
    torch.manual_seed(0)
    return {f"backbone.{k}": torch.randn_like(v) for k, v in Vit(CONFIG).state_dict().items()}


def original(prefix: str) -> dict[str, Tensor]:
    """VideoMAE's own names."""
    return {prefix + name.removeprefix("backbone."): v for name, v in backbone().items()}


def pretrained() -> dict[str, Tensor]:
    """VideoMAE's own pre-training file: an encoder with its norm, and a decoder."""
    torch.manual_seed(1)
    return {
        **original("encoder."),
        "mask_token": torch.zeros(1, 1, 8),
        "encoder_to_decoder.weight": torch.randn(8, 16),
        **{f"decoder.{n}": v for n, v in original("").items() if not n.startswith("patch")},
        "decoder.head.weight": torch.randn(4, 8),
    }


def classifier(tensors: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """A file with a classifier's head, which has its own norm in place of the final one."""
    body = {n: v for n, v in tensors.items() if not n.startswith((f"{prefix}norm.", "layernorm."))}
    extra = {"fc_norm.weight": torch.ones(16), "fc_norm.bias": torch.zeros(16)}
    return {**body, **extra, "head.weight": torch.zeros(400, 16), "head.bias": torch.zeros(400)}


def mmaction2() -> dict[str, Tensor]:
    """A detector of mmaction2, with its positional table."""
    named = {
        name.replace("patch_embed.proj.", "patch_embed.projection.")
        .replace("mlp.fc1.", "mlp.layers.0.0.")
        .replace("mlp.fc2.", "mlp.layers.1."): value
        for name, value in backbone().items()
    }
    table = sinusoid(1568, 16)[None]
    return {**named, "backbone.pos_embed": table, "roi_head.fc_cls.weight": torch.ones(81, 16)}


def huggingface(prefix: str = "videomae.", old: bool = False) -> dict[str, Tensor]:
    """Hugging Face's names: separate queries, keys, values; old: biases as in files of 2022."""
    named: dict[str, Tensor] = {}
    for name, value in original("").items():
        if name.endswith("attn.qkv.weight"):
            stem = name.removesuffix("qkv.weight")
            parts = zip(("query", "key", "value"), value.chunk(3), strict=True)
            named |= {_hf(f"{stem}{part}.weight", old): piece for part, piece in parts}
        else:
            named[_hf(name, old)] = value
    return {prefix + name: value for name, value in named.items()}


def _hf(name: str, old: bool) -> str:
    for ours, theirs in (
        ("patch_embed.proj.", "embeddings.patch_embeddings.projection."),
        ("blocks.", "encoder.layer."),
        ("norm1.", "layernorm_before."),
        ("norm2.", "layernorm_after."),
        ("attn.proj.", "attention.output.dense."),
        ("attn.", "attention.attention."),
        ("q_bias", "q_bias" if old else "query.bias"),
        ("v_bias", "v_bias" if old else "value.bias"),
        ("mlp.fc1.", "intermediate.dense."),
        ("mlp.fc2.", "output.dense."),
    ):
        name = name.replace(ours, theirs)
    return f"layer{name}" if name.startswith("norm.") else name
