"""VideoMAE's weights under whoever's names -> `backbone.*`.

Three dialects are read: VideoMAE's own (with `encoder.` or `backbone.` before, from pre-training
or fine-tuning), mmaction2's, and Hugging Face's, which has queries, keys and values apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stadkit.errors import WeightsError
from stadkit.zoo.backbones import FINAL_NORM, Renamed

if TYPE_CHECKING:
    from torch import Tensor

# By this tensor a video transformer is known, whatever stands before its name.
STEM = re.compile(
    r"(?P<prefix>.*?)"
    r"(patch_embed\.proj|patch_embed\.projection|embeddings\.patch_embeddings\.projection)\.weight"
)
# Theirs -> ours, in this order.
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
APART = ("attn.query.weight", "attn.key.weight", "attn.value.weight")
# Without influence only if zero: our attention has none.
KEY_BIAS = ("attn.key.bias", "attn.k_bias")
POSITIONS = ("pos_embed", "embeddings.position_embeddings")
BLOCK = re.compile(r"blocks\.\d+\.(.+)")
SHOWN = 5  # names in one message


def is_videomae(tensors: Mapping[str, Any]) -> bool:
    """Whether these are named as a video transformer's, in any of the dialects."""
    return _prefix(tensors) is not None


def canonical(tensors: Mapping[str, Tensor], what: str = "the file") -> dict[str, Tensor]:
    """The backbone in these tensors by our names; raises WeightsError as `rename` does."""
    return rename(tensors, what).tensors


def rename(tensors: Mapping[str, Tensor], what: str = "the file") -> Renamed:
    """Tensors of a VideoMAE file -> `backbone.*`, and the names that are not of a backbone.

    Raises WeightsError where a tensor of the backbone is missing (FINAL_NORM may be), given
    twice, or of another architecture: a bias on keys, learned positions, more in a block.
    """
    prefix = _prefix(tensors)
    if prefix is None:
        raise WeightsError(f"{what}: no video transformer: no tensor is named patch_embed.proj")
    found: dict[str, Tensor] = {}
    unused = []
    for name, value in tensors.items():
        ours = _ours(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if ours is None:
            _check_unused(name.removeprefix(prefix), value, what)
            unused.append(name)
        elif ours in found:
            raise WeightsError(f"{what}: holds {ours} under two names, {name} is one of them")
        else:
            found[ours] = value
    whole = _joined(found, what)
    _check_whole(whole, what)
    return Renamed({f"backbone.{name}": value for name, value in whole.items()}, unused)


def _prefix(tensors: Mapping[str, Any]) -> str | None:
    stems = (STEM.fullmatch(name) for name in tensors)
    return next((stem["prefix"] for stem in stems if stem), None)


def _ours(name: str) -> str | None:
    """Our name, without `backbone.`, of a name without prefix; None for what is no backbone's."""
    name = _translated(name)
    block = BLOCK.fullmatch(name)
    if block:
        return name if block[1] in (*IN_BLOCK, *APART) else None
    return name if re.fullmatch(r"(patch_embed\.proj|norm)\.(weight|bias)", name) else None


def _translated(name: str) -> str:
    if name.startswith("layernorm."):
        name = name.removeprefix("layer")
    for theirs, ours in RENAMED:
        name = name.replace(theirs, ours)
    return name


def _check_unused(name: str, value: Tensor, what: str) -> None:
    """Refuse what would matter in the architecture that the file is of."""
    ours = _translated(name)
    if name in POSITIONS and not _is_fixed(value):
        raise WeightsError(
            f"{what}: {name} was learned; this architecture has fixed positions, give a file of "
            "VideoMAE"
        )
    if ours.endswith(KEY_BIAS):
        if value.any():
            raise WeightsError(f"{what}: {ours} is not zero; this architecture has no bias on keys")
    elif BLOCK.fullmatch(ours):
        raise WeightsError(
            f"{what}: has {name}, which VideoMAE has not; it is another architecture"
        )


def _is_fixed(table: Tensor) -> bool:
    """Whether a table of positions is the one that is computed here."""
    from stadkit.layers.attention import sinusoid

    if table.ndim < 2:
        return False
    return bool(table.float().isclose(sinusoid(*table.shape[-2:]), atol=1e-2).all())


def _joined(found: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """Queries, keys and values that lie apart, put together as `qkv`."""
    import torch

    whole = {name: value for name, value in found.items() if not name.endswith(APART)}
    blocks = {name.rsplit(".attn.", 1)[0] for name in found if name.endswith(APART)}
    for block in sorted(blocks):
        parts = [f"{block}.{part}" for part in APART]
        lacking = [part for part in parts if part not in found]
        if lacking or f"{block}.attn.qkv.weight" in whole:
            raise WeightsError(
                f"{what}: {_some(lacking)} is missing"
                if lacking
                else f"{what}: {block} has qkv and its parts as well"
            )
        whole[f"{block}.attn.qkv.weight"] = torch.cat([found[part] for part in parts])
    return whole


def _check_whole(found: Mapping[str, Tensor], what: str) -> None:
    blocks = {int(name.split(".")[1]) for name in found if name.startswith("blocks.")}
    depth = max(blocks, default=0) + 1
    wanted = ["patch_embed.proj.weight", "patch_embed.proj.bias"]
    wanted += [f"blocks.{i}.{part}" for i in range(depth) for part in IN_BLOCK]
    if any(name.startswith("norm.") for name in found):
        wanted += [name.removeprefix("backbone.") for name in FINAL_NORM]
    lacking = [name for name in wanted if name not in found]
    if lacking:
        raise WeightsError(
            f"{what}: lacks {len(lacking)} of the backbone's tensors ({_some(lacking)})"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
