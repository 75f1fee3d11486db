"""Rename SlowFast and SlowOnly weights of several code bases to `backbone.*`.

Our names are PySlowFast's. mmaction2's and PyTorchVideo's are read, too, with an optional
`backbone.` or `model.` prefix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from stadkit.errors import WeightsError
from stadkit.zoo.backbones import FUSION_NORM, Renamed
from stadkit.zoo.checkpoint import renamed

if TYPE_CHECKING:
    from torch import Tensor

# Parts of one block: theirs -> ours, with a placeholder for the block's number.
MMACTION2_BLOCK = {
    **{f"conv{i}.conv": f"res{{}}.branch2.{letter}" for i, letter in enumerate("abc", 1)},
    **{f"conv{i}.bn": f"res{{}}.branch2.{letter}_bn" for i, letter in enumerate("abc", 1)},
    "downsample.conv": "res{}.branch1",
    "downsample.bn": "res{}.branch1_bn",
    # A convolution and its max pool form a sequence, hence the 0.
    "non_local_block.theta.conv": "nonlocal{}.conv_theta",
    "non_local_block.phi.0.conv": "nonlocal{}.conv_phi",
    "non_local_block.g.0.conv": "nonlocal{}.conv_g",
    "non_local_block.conv_out.conv": "nonlocal{}.conv_out",
    "non_local_block.conv_out.bn": "nonlocal{}.bn",
}
PYTORCHVIDEO_BLOCK = {
    **{f"branch2.conv_{letter}": f"res{{}}.branch2.{letter}" for letter in "abc"},
    **{f"branch2.norm_{letter}": f"res{{}}.branch2.{letter}_bn" for letter in "abc"},
    "branch1_conv": "res{}.branch1",
    "branch1_norm": "res{}.branch1_bn",
}
OURS = re.compile(r"s[1-5](_fuse)?\..+")
MMACTION2 = "mmaction2"
# How its weights were trained, which no tensor shows.
MMACTION2_SETTINGS = "mean (123.675, 116.28, 103.53), std (58.395, 57.12, 57.375), no dilation"


class Dialect(NamedTuple):
    """One code base's names for a SlowFast."""

    code_base: str
    prefix: str  # optional prefix of all backbone names
    stem: re.Pattern[str]  # the first convolution's name, which identifies the dialect
    ours: Callable[[str], str | None]  # module name -> ours; None outside the backbone


def _pyslowfast(name: str) -> str | None:
    return name if OURS.fullmatch(name) else None


def _mmaction2(name: str) -> str | None:
    path = int(name.startswith("fast_path."))
    name = name.removeprefix("slow_path.").removeprefix("fast_path.")
    if name in ("conv1.conv", "conv1.bn"):
        return f"s1.pathway{path}_stem.{name.removeprefix('conv1.')}"
    if lateral := re.fullmatch(r"(?:conv1|layer([1-4]))_lateral\.conv", name):
        return f"s{int(lateral[1] or 0) + 1}_fuse.conv_f2s"
    block = re.fullmatch(r"layer([1-4])\.(\d+)\.(.+)", name)
    part = MMACTION2_BLOCK.get(block[3]) if block else None
    return f"s{int(block[1]) + 1}.pathway{path}_{part.format(block[2])}" if block and part else None


def _pytorchvideo(name: str) -> str | None:
    found = re.fullmatch(r"blocks\.([0-4])\.(?:multipathway_blocks\.([01])\.)?(.+)", name)
    if not found:
        return None
    stage, path, rest = int(found[1]) + 1, found[2] or 0, found[3]
    whole = {
        "multipathway_fusion.conv_fast_to_slow": f"s{stage}_fuse.conv_f2s",
        "multipathway_fusion.norm": f"s{stage}_fuse.bn",
    }
    if stage == 1:
        whole |= {"conv": f"s1.pathway{path}_stem.conv", "norm": f"s1.pathway{path}_stem.bn"}
    block = re.fullmatch(r"res_blocks\.(\d+)\.(.+)", rest)
    part = PYTORCHVIDEO_BLOCK.get(block[2]) if block else None
    if block and part:
        return f"s{stage}.pathway{path}_{part.format(block[1])}"
    return whole.get(rest)


DIALECTS = (
    Dialect(
        "PySlowFast",
        "backbone.",
        re.compile(r"(backbone\.)?s1\.pathway0_stem\.conv\.weight"),
        _pyslowfast,
    ),
    Dialect(
        MMACTION2,
        "backbone.",
        re.compile(r"(backbone\.)?(slow_path\.)?conv1\.conv\.weight"),
        _mmaction2,
    ),
    Dialect(
        "PyTorchVideo",
        "model.",
        re.compile(r"(model\.)?blocks\.0\.(multipathway_blocks\.0\.)?conv\.weight"),
        _pytorchvideo,
    ),
)


def dialect(tensors: Collection[str]) -> Dialect | None:
    """The dialect of these names; None where they are not a SlowFast's."""
    return next((d for d in DIALECTS if any(d.stem.fullmatch(name) for name in tensors)), None)


def code_base(tensors: Collection[str]) -> str:
    """`Dialect.code_base` of these names; "" where they are not a SlowFast's."""
    known = dialect(tensors)
    return known.code_base if known else ""


def matches(tensors: Collection[str]) -> bool:
    """Whether these are names of a SlowFast or SlowOnly, in any dialect."""
    return dialect(tensors) is not None


def rename(tensors: Mapping[str, Tensor], what: str = "the file") -> Renamed:
    """Rename a SlowFast file's tensors to `backbone.*`, and list the names outside the backbone.

    Raises WeightsError where two names map to one of ours, and where no dialect matches.
    """
    known = dialect(tensors)
    if known is None:
        raise WeightsError(f"{what}: not a SlowFast: no tensor has its first convolution's name")
    body = {name: value for name, value in tensors.items() if _ours(name, known)}
    found = renamed(body, lambda name: f"backbone.{_ours(name, known)}", what)
    return Renamed(found, [name for name in tensors if name not in body])


def _ours(name: str, known: Dialect) -> str | None:
    """Our name without `backbone.`; None outside the backbone."""
    module, _, leaf = name.removeprefix(known.prefix).rpartition(".")
    ours = known.ours(module)
    return f"{ours}.{leaf}" if ours else None


def notes(code_base: str, present: Collection[str], missing: Collection[str]) -> list[str]:
    """At most one line that a user should know about these weights.

    code_base: `Dialect.code_base`, or "" where unknown. present, missing: names (`backbone.*`) that
    the file has, and that the model needs in addition.
    """
    fast = any(".pathway1_" in name for name in present)
    new_norms = fast and any(name in FUSION_NORM for name in missing)
    if code_base != MMACTION2:
        return ["without fusion norms, which are newly initialized"] if new_norms else []
    frames = ", slow frames 0 4 .. 28" if fast else ""
    norms = "; without fusion norms, which are newly initialized" if new_norms else ""
    return [f"weights of mmaction2, trained with {MMACTION2_SETTINGS}{frames}{norms}"]
