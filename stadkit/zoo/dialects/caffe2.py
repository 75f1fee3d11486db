"""Read Caffe2 checkpoints: a pickle of arrays under `blobs`, such as PySlowFast's older weights.

`files.pickles` reads the pickle: it accepts only containers, numbers and NumPy arrays, and runs no
code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stadkit.errors import AnnotationError, WeightsError
from stadkit.files import pickles

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = ("momentum", "lr", "model_iter")  # parts of the names of optimizer blobs
# Last part of a blob's name -> ours.
PLAIN = {"w": "weight", "b": "bias"}
NORM = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
# Blob name without its last part -> ours. The fast pathway has the prefix `t_`.
PLAIN_RULES = (
    (r"conv1", "s1.pathway{path}_stem.conv"),
    (r"pool1_subsample", "s1_fuse.conv_f2s"),
    (r"res(\d)_(\d+)_branch1", "s{0}.pathway{path}_res{1}.branch1"),
    (r"res(\d)_(\d+)_branch2([abc])", "s{0}.pathway{path}_res{1}.branch2.{2}"),
    # Fusion, after the last block of a stage.
    (r"res(\d)_\d+_branch2c_bn_subsample", "s{0}_fuse.conv_f2s"),
    (r"nonlocal_conv(\d)_(\d+)_(theta|phi|g|out)", "s{0}.pathway{path}_nonlocal{1}.conv_{2}"),
)
NORM_RULES = (
    (r"res_conv1_bn", "s1.pathway{path}_stem.bn"),
    (r"pool1_subsample_bn", "s1_fuse.bn"),
    (r"res(\d)_(\d+)_branch1_bn", "s{0}.pathway{path}_res{1}.branch1_bn"),
    (r"res(\d)_(\d+)_branch2([abc])_bn", "s{0}.pathway{path}_res{1}.branch2.{2}_bn"),
    (r"res(\d)_\d+_branch2c_bn_subsample_bn", "s{0}_fuse.bn"),
    (r"nonlocal_conv(\d)_(\d+)_bn", "s{0}.pathway{path}_nonlocal{1}.bn"),
)
HEAD = "pred"


def read(path: Path) -> dict[str, Tensor]:
    """Read a file's blobs by name, without the optimizer's; kernels become 5-dimensional.

    Raises WeightsError where the pickle could run code, has no `blobs`, or has blobs that are not
    numeric arrays.
    """
    try:
        held = pickles.load(path)
    except AnnotationError as error:
        raise WeightsError(str(error)) from None
    blobs = held.get("blobs") if isinstance(held, Mapping) else None
    if not isinstance(blobs, Mapping) or not blobs:
        raise WeightsError(
            f"{path}: a pickle without `blobs`: neither a torch nor a Caffe2 checkpoint"
        )
    kept = {str(name): value for name, value in blobs.items() if not _is_ignored(str(name))}
    return {name: _tensor(name, value, path) for name, value in kept.items()}


def our_name(blob: str) -> str:
    """PySlowFast's name for a blob; a name that matches no rule is returned unchanged."""
    name, _, leaf = blob.rpartition("_")
    if name == HEAD and leaf in PLAIN:
        return f"head.projection.{PLAIN[leaf]}"
    path = int(name.startswith("t_"))
    for leaves, rules in ((PLAIN, PLAIN_RULES), (NORM, NORM_RULES)):
        for pattern, ours in rules if leaf in leaves else ():
            if found := re.fullmatch(pattern, name.removeprefix("t_")):
                return f"{ours.format(*found.groups(), path=path)}.{leaves[leaf]}"
    return blob


def _is_ignored(blob: str) -> bool:
    return any(part in blob for part in IGNORED)


def _tensor(blob: str, value: Any, path: Path) -> Tensor:
    import torch

    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        kind = getattr(value, "dtype", type(value).__name__)
        raise WeightsError(f"{path}: the blob {blob} is a {kind}, not an array of numbers")
    # Copied, as the file's array may be a subclass and have another byte order.
    tensor = torch.from_numpy(np.array(value, value.dtype.newbyteorder("="), subok=False))
    kernel = blob.endswith("_w") and our_name(blob) != blob and not blob.startswith(HEAD)
    # 1 x 1 x 1 kernels may be stored as matrices.
    return tensor[(...,) + (None,) * (5 - tensor.ndim)] if kernel and tensor.ndim < 5 else tensor
