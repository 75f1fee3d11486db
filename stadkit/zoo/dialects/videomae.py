"""Rename VideoMAE weights of several code bases to `backbone.*`.

Three dialects are read: VideoMAE's own (with the prefix `encoder.` or `backbone.`, from
pre-training or fine-tuning), mmaction2's, and Hugging Face's, with separate queries, keys, values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stadkit.errors import WeightsError
from stadkit.zoo.backbones import FINAL_NORM, Renamed

if TYPE_CHECKING:
    from torch import Tensor

# This tensor identifies a video transformer, whatever its prefix.
STEM = re.compile(
    r"(?P<prefix>.*?)"
    r"(patch_embed\.proj|patch_embed\.projection|embeddings\.patch_embeddings\.projection)\.weight"
)
# Theirs -> ours, applied in this order.
RENAMED = (
    ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
    ("patch_embed.projection.", "patch_embed.proj."),
    ("encoder.layer.", "blocks."),
    (".layernorm_before.", ".norm1."),
    (".layernorm_after.", ".norm2."),
    (".attention.attention.query.bias", ".attn.q_bias"),
    (".attention.attention.value.bias", ".attn.v_bias"),
    (".attention.attention.", ".attn."),
    (".attention.output.dense.", ".attn.proj."),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
    (".mlp.layers.0.0.", ".mlp.fc1."),
    (".mlp.layers.1.", ".mlp.fc2."),
)
IN_BLOCK = (
    *("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"),
    *("attn.q_bias", "attn.v_bias", "attn.qkv.weight", "attn.proj.weight", "attn.proj.bias"),
    *("mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias"),
)
SEPARATE_QKV = ("attn.query.weight", "attn.key.weight", "attn.value.weight")
# Must be zero: our attention has no bias on keys.
KEY_BIAS = ("attn.key.bias", "attn.k_bias")
POSITIONS = ("pos_embed", "embeddings.position_embeddings")
BLOCK = re.compile(r"blocks\.\d+\.(.+)")
MAX_NAMES_SHOWN = 5  # in one message


def matches(tensors: Mapping[str, Any]) -> bool:
    """Whether these are names of a video transformer, in any dialect."""
    return _prefix(tensors) is not None


def canonical(tensors: Mapping[str, Tensor], what: str = "the file") -> dict[str, Tensor]:
    """The backbone's tensors by our names; raises WeightsError like `rename`."""
    return rename(tensors, what).tensors


def rename(tensors: Mapping[str, Tensor], what: str = "the file") -> Renamed:
    """Rename a VideoMAE file's tensors to `backbone.*`, and list the names outside the backbone.

    Raises WeightsError where a backbone tensor is missing (except FINAL_NORM) or duplicated, and
    for another architecture: a bias on keys, learned positions, other tensors in a block.
    """
    prefix = _prefix(tensors)
    if prefix is None:
        raise WeightsError(f"{what}: not a video transformer: no tensor is named patch_embed.proj")
    found: dict[str, Tensor] = {}
    unused = []
    for name, value in tensors.items():
        ours = _ours(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if ours is None:
            _check_unused(name.removeprefix(prefix), value, what)
            unused.append(name)
        elif ours in found:
            raise WeightsError(f"{what}: holds {ours} under two names, one of them {name}")
        else:
            found[ours] = value
    body = _joined(found, what)
    _check_complete(body, what)
    return Renamed({f"backbone.{name}": value for name, value in body.items()}, unused)


def _prefix(tensors: Mapping[str, Any]) -> str | None:
    stems = (STEM.fullmatch(name) for name in tensors)
    return next((stem["prefix"] for stem in stems if stem), None)


def _ours(name: str) -> str | None:
    """Our name without `backbone.` for a name without prefix; None outside the backbone."""
    name = _translated(name)
    block = BLOCK.fullmatch(name)
    if block:
        return name if block[1] in (*IN_BLOCK, *SEPARATE_QKV) else None
    return name if re.fullmatch(r"(patch_embed\.proj|norm)\.(weight|bias)", name) else None


def _translated(name: str) -> str:
    if name.startswith("layernorm."):
        name = name.removeprefix("layer")
    for theirs, ours in RENAMED:
        name = name.replace(theirs, ours)
    return name


def _check_unused(name: str, value: Tensor, what: str) -> None:
    """Refuse an unused tensor that would change the outputs of the file's architecture."""
    ours = _translated(name)
    if name in POSITIONS and not _is_fixed(value):
        raise WeightsError(
            f"{what}: {name} was learned, but this architecture has fixed positions; use VideoMAE "
            "weights"
        )
    if ours.endswith(KEY_BIAS):
        if value.any():
            raise WeightsError(
                f"{what}: {ours} is not zero, but this architecture has no bias on keys; use "
                "VideoMAE weights"
            )
    elif BLOCK.fullmatch(ours):
        raise WeightsError(
            f"{what}: has {name}, which VideoMAE does not have; it is another architecture"
        )


def _is_fixed(table: Tensor) -> bool:
    """Whether a table of positions equals the one computed here."""
    from stadkit.layers.attention import sinusoid

    if table.ndim < 2:
        return False
    return bool(table.float().isclose(sinusoid(*table.shape[-2:]), atol=1e-2).all())


def _joined(found: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """Join separate queries, keys and values into `qkv`."""
    import torch

    joined = {name: value for name, value in found.items() if not name.endswith(SEPARATE_QKV)}
    blocks = {name.rsplit(".attn.", 1)[0] for name in found if name.endswith(SEPARATE_QKV)}
    for block in sorted(blocks):
        parts = [f"{block}.{part}" for part in SEPARATE_QKV]
        missing = [part for part in parts if part not in found]
        if missing or f"{block}.attn.qkv.weight" in joined:
            raise WeightsError(
                f"{what}: missing {_first_few(missing)}"
                if missing
                else f"{what}: {block} has both qkv and separate query, key and value"
            )
        joined[f"{block}.attn.qkv.weight"] = torch.cat([found[part] for part in parts])
    return joined


def _check_complete(found: Mapping[str, Tensor], what: str) -> None:
    blocks = {int(name.split(".")[1]) for name in found if name.startswith("blocks.")}
    depth = max(blocks, default=0) + 1
    wanted = ["patch_embed.proj.weight", "patch_embed.proj.bias"]
    wanted += [f"blocks.{i}.{part}" for i in range(depth) for part in IN_BLOCK]
    if any(name.startswith("norm.") for name in found):
        wanted += [name.removeprefix("backbone.") for name in FINAL_NORM]
    missing = [name for name in wanted if name not in found]
    if missing:
        raise WeightsError(
            f"{what}: lacks {len(missing)} of the backbone's tensors ({_first_few(missing)})"
        )


def _first_few(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMES_SHOWN]) + (", ..." if len(names) > MAX_NAMES_SHOWN else "")
