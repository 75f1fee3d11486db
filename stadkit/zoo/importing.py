"""A checkpoint file brought in under a name: checked, then kept as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stadkit.errors import UsageError, WeightsError
from stadkit.zoo.cards import CARDS, build, card
from stadkit.zoo.checkpoint import read_checkpoint
from stadkit.zoo.weights import check_finite, misfit, places, save_weights, sha256, state

if TYPE_CHECKING:
    from torch import Tensor


def import_file(path: Path, name: str) -> Path:
    """Check a checkpoint against the model `name` and keep it; gives the file it is now.

    Keys are the canonical ones; all of them, and no others. Raises UsageError for an unknown
    name and WeightsError for a file that is not this model's weights; then nothing is kept.
    """
    card(name)
    if state(name) == "built in":
        raise UsageError(
            f"{name} has its weights built in; give yours as `--model FILE.safetensors`, or import "
            "them as another model"
        )
    tensors = read_checkpoint(path)
    _check_name(tensors, name, path)
    check_finite(tensors, str(path))
    kept = places(name)[1]
    save_weights(tensors, kept, {"source": path.name, "source_sha256": sha256(path)})
    return kept


def _check_name(tensors: Mapping[str, Tensor], name: str, path: Path) -> None:
    wrong = _misfit(tensors, name)
    if not wrong:
        return
    others = [other for other in CARDS if other != name and not _misfit(tensors, other)]
    hint = f"; it fits {others[0]}: import it --as {others[0]}" if others else ""
    raise WeightsError(f"{path} is not {name}: {wrong}{hint}; nothing was imported")


def _misfit(tensors: Mapping[str, Tensor], name: str) -> str:
    import torch

    # On the meta device a model has shapes but no memory, and building it takes no time.
    with torch.device("meta"):
        model = build(name)
    return misfit(tensors, model)
