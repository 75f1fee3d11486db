"""Rename the heads of mmaction2's detectors; `slowfast` and `videomae` rename their backbones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MARK = "roi_head."  # prefix that only mmaction2's detectors have
AVA_ROWS = 81  # logits for AVA; the first is background, which is neither trained nor used
PROJECTION = ("head.projection.weight", "head.projection.bias")
BACKGROUND = "row 0 of its 81 logits (background) was dropped: it was never trained"
HEAD = {"fc_cls": "head.projection", "fc_cls.0": "head.hidden", "fc_cls.2": "head.projection"}
SHARED = re.compile(r"roi_head\.shared_head\.(conv[12])\.(conv|bn)\.(\w+)")
CLASSIFIER = re.compile(r"roi_head\.bbox_head\.(fc_cls|fc_cls\.0|fc_cls\.2)\.(weight|bias)")


def our_name(name: str) -> str:
    """Our name for a head's tensor; any other name is returned unchanged."""
    if found := CLASSIFIER.fullmatch(name):
        return f"{HEAD[found[1]]}.{found[2]}"
    if found := SHARED.fullmatch(name):  # ACRN's relation layers
        return f"head.{found[1]}.{'0' if found[2] == 'conv' else '1'}.{found[3]}"
    return name


def as_ours(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Convert tensors with our names to our heads' shapes; returns them with notes for the user.

    Drops the background row; ACRN's kernels, one frame long, become 2-dimensional.
    """
    kept = {
        name: _without_time(value) if _is_relation_kernel(name) else value
        for name, value in tensors.items()
    }
    if not all(name in kept and kept[name].shape[:1] == (AVA_ROWS,) for name in PROJECTION):
        return kept, []
    return {**kept, **{name: kept[name][1:] for name in PROJECTION}}, [BACKGROUND]


def _is_relation_kernel(name: str) -> bool:
    return re.fullmatch(r"head\.conv[12]\.0\.weight", name) is not None


def _without_time(kernel: Tensor) -> Tensor:
    return kernel[:, :, 0] if kernel.ndim == 5 and kernel.shape[2] == 1 else kernel
