"""SlowFast's and SlowOnly's weights under whoever's names -> `backbone.*`.

Our names are PySlowFast's. Besides these, mmaction2's and PyTorchVideo's are read, with the
`backbone.` or `model.` that may stand before them.
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

# Parts of one block: theirs -> ours, with the block's number to be put in.
MMACTION2_BLOCK = {
    **{f"conv{i}.conv": f"res{{}}.branch2.{letter}" for i, letter in enumerate("abc", 1)},
    **{f"conv{i}.bn": f"res{{}}.branch2.{letter}_bn" for i, letter in enumerate("abc", 1)},
    "downsample.conv": "res{}.branch1",
    "downsample.bn": "res{}.branch1_bn",
    # The max pool that follows a convolution is chained to it, hence the 0.
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
# What its weights were trained with, and no tensor shows.
MMACTION2_WAYS = "mean (123.675, 116.28, 103.53), std (58.395, 57.12, 57.375), no dilation"


class Dialect(NamedTuple):
    """How one code base names a SlowFast."""

    whose: str
    prefix: str  # may stand before all names of the backbone
    stem: re.Pattern[str]  # the first convolution's name, by which a file is known
    ours: Callable[[str], str | None]  # of a module's name; None for what is no backbone's


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
    """Whose names these are, where they are a SlowFast's."""
    return next((d for d in DIALECTS if any(d.stem.fullmatch(name) for name in tensors)), None)


def whose(tensors: Collection[str]) -> str:
    """`Dialect.whose` of these names; "" where they are no SlowFast's."""
    known = dialect(tensors)
    return known.whose if known else ""


def is_slowfast(tensors: Collection[str]) -> bool:
    """Whether these are named as a SlowFast's or SlowOnly's, in any of the dialects."""
    return dialect(tensors) is not None


def rename(tensors: Mapping[str, Tensor], what: str = "the file") -> Renamed:
    """Tensors of a SlowFast file -> `backbone.*`, and the names that are not of a backbone.

    Raises WeightsError where two names are one of ours, and where no name is a SlowFast's.
    """
    known = dialect(tensors)
    if known is None:
        raise WeightsError(f"{what}: no SlowFast: no tensor is named as its first convolution")
    body = {name: value for name, value in tensors.items() if _ours(name, known)}
    found = renamed(body, lambda name: f"backbone.{_ours(name, known)}", what)
    return Renamed(found, [name for name in tensors if name not in body])


def _ours(name: str, known: Dialect) -> str | None:
    """Our name, without `backbone.`; None for what is no backbone's."""
    module, _, leaf = name.removeprefix(known.prefix).rpartition(".")
    ours = known.ours(module)
    return f"{ours}.{leaf}" if ours else None


def told(whose: str, given: Collection[str], lacking: Collection[str]) -> list[str]:
    """What a user should know of these weights, in words; nothing or one line.

    whose: `Dialect.whose`, or "" where unknown. given, lacking: the names, `backbone.*`, that the
    file has, and that the model wants besides.
    """
    fast = any(".pathway1_" in name for name in given)
    anew = fast and any(name in FUSION_NORM for name in lacking)
    if whose != MMACTION2:
        return ["the norms of the fusions are not in the file: they start anew"] if anew else []
    frames = ", slow frames 0 4 .. 28" if fast else ""
    norms = "; it has no norms in its fusions: they start anew" if anew else ""
    return [f"weights of mmaction2, trained with {MMACTION2_WAYS}{frames}{norms}"]
