"""The heads of mmaction2's detectors -> ours; their backbones are read by `slowfast_names` and
`videomae_names`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MARK = "roi_head."  # start of names that its detectors alone have
AVA_ROWS = 81  # of logits for AVA: the first is the background's, which is never learned nor read
PROJECTION = ("head.projection.weight", "head.projection.bias")
BACKGROUND = "row 0 of its 81 logits, the background's, was left out: nothing ever learned it"
HEAD = {"fc_cls": "head.projection", "fc_cls.0": "head.hidden", "fc_cls.2": "head.projection"}
SHARED = re.compile(r"roi_head\.shared_head\.(conv[12])\.(conv|bn)\.(\w+)")
CLASSIFIER = re.compile(r"roi_head\.bbox_head\.(fc_cls|fc_cls\.0|fc_cls\.2)\.(weight|bias)")


def our_name(name: str) -> str:
    """Our name for one of a head; a name that no head has stays as it is."""
    if found := CLASSIFIER.fullmatch(name):
        return f"{HEAD[found[1]]}.{found[2]}"
    if found := SHARED.fullmatch(name):  # relations of ACRN
        return f"head.{found[1]}.{'0' if found[2] == 'conv' else '1'}.{found[3]}"
    return name


def as_ours(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by our names -> as our heads have them, and what is to be told of it.

    Without the background's row; ACRN's kernels, one frame long, in 2 dimensions.
    """
    kept = {name: _flat(value) if _relates(name) else value for name, value in tensors.items()}
    if not all(name in kept and kept[name].shape[:1] == (AVA_ROWS,) for name in PROJECTION):
        return kept, []
    return {**kept, **{name: kept[name][1:] for name in PROJECTION}}, [BACKGROUND]


def _relates(name: str) -> bool:
    return re.fullmatch(r"head\.conv[12]\.0\.weight", name) is not None


def _flat(kernel: Tensor) -> Tensor:
    return kernel[:, :, 0] if kernel.ndim == 5 and kernel.shape[2] == 1 else kernel
