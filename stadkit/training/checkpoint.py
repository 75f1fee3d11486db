"""Training checkpoints: everything that the next epoch needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from stadkit import zoo
from stadkit.errors import UsageError, WeightsError
from stadkit.training.average import Average
from stadkit.zoo import backbones, official
from stadkit.zoo.backbones import FINAL_NORM
from stadkit.zoo.weights import expected_sha256, verify

# What may differ on --resume: how the same run goes on, not which run it is.
MAY_CHANGE = ("optimizer", "precision", "data.workers", "data.store")
# But for these of the optimizer: SGD's state is not AdamW's, and each scale has its own groups.
MAY_NOT = ("optimizer.name", "optimizer.head_scale")


class Done(NamedTuple):
    """What a checkpoint says of the run so far."""

    epochs: int  # finished
    figures: dict[str, Any]  # of the last one, without its scores


def save_checkpoint(
    path: Path,
    model: nn.Module,
    average: Average | None,
    optimizer: torch.optim.Optimizer,
    done: Done,
    config: dict[str, Any],
) -> None:
    """Write after an epoch; the file is whole or not there."""
    state = {
        "model": model.state_dict(),
        "average": None if average is None else average.model.state_dict(),
        "average_steps": 0 if average is None else average.steps,
        "optimizer": optimizer.state_dict(),
        "epoch": done.epochs,
        "figures": done.figures,
        "config": config,
    }
    part = path.with_name(f".{path.name}.part")
    torch.save(state, part)
    os.replace(part, path)


def load_checkpoint(
    path: Path,
    model: nn.Module,
    average: Average | None,
    optimizer: torch.optim.Optimizer,
    config: dict[str, Any],
) -> Done:
    """Put a checkpoint's state back; the optimizer keeps its settings (rate, decay, momentum).

    Raises UsageError when there is none, or when it was written by a config that differs in
    more than MAY_CHANGE: the run would not be the same one. Raises WeightsError for a file that
    is no checkpoint of such a training.
    """
    state = _read(path)
    _check_same_run(path, config, state["config"])
    settings = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            average.model.load_state_dict(state["average"])
            average.steps = state["average_steps"]
        done = Done(int(state["epoch"]), state["figures"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{path}: not a checkpoint of this training ({_line(error)})") from None
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)
    return done


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UsageError(f"{path}: nothing to resume; leave out --resume") from None
    except Exception as error:
        raise WeightsError(f"{path}: not a training checkpoint ({_line(error)})") from None
    if not isinstance(state, dict) or not isinstance(state.get("config"), dict):
        raise WeightsError(f"{path}: not a training checkpoint (it holds no config)")
    return state


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_same_run(path: Path, config: dict[str, Any], before: dict[str, Any]) -> None:
    now, then = _lasting(config), _lasting(before)
    changed = sorted(name for name in now | then if now.get(name) != then.get(name))
    if changed:
        raise UsageError(
            f"{path}: was trained with another {', '.join(changed)}; restore the config or use a "
            f"new output folder (only {', '.join(MAY_CHANGE)} may change, and of these not "
            f"{', '.join(MAY_NOT)})"
        )


def _lasting(config: dict[str, Any]) -> dict[str, Any]:
    """The fields that make a run this run, those of `data` and `optimizer` by dotted name."""
    flat = {name: value for name, value in config.items() if name not in ("data", "optimizer")}
    for part in ("data", "optimizer"):
        flat |= {f"{part}.{name}": value for name, value in config.get(part, {}).items()}
    return {name: value for name, value in flat.items() if not _may_change(name)}


def _may_change(name: str) -> bool:
    if name in MAY_NOT:
        return False
    return name in MAY_CHANGE or name.split(".")[0] in MAY_CHANGE


def start_from(model: nn.Module, path: Path) -> list[str]:
    """Put weights of a file into a model; gives the names that keep their initial values.

    Names are the model's own, a backbone's canonical ones (`s1...` for `backbone.s1...`), EVAD's
    authors' or VideoMAE's (`zoo.backbones`). Where there is no such file, a path that ends in
    the name of a model or backbone means the weights of that name which are here.

    The backbone has to be whole but for a last norm, which classifiers lack; heads may lack, or
    be of another number of classes. Raises WeightsError otherwise, and then leaves the model as
    it was.
    """
    own = model.state_dict()
    path = _weights(path)
    given = _by_own_names(zoo.read_checkpoint(path), own, path)
    fits = {name: v for name, v in given.items() if name in own and own[name].shape == v.shape}
    # Counters of steps matter to no one, and older files lack them.
    left = [n for n in own if n not in fits and not n.endswith("num_batches_tracked")]
    norm = [name for name in FINAL_NORM if name not in given]
    lacking = [name for name in left if name.startswith("backbone.") and name not in norm]
    if lacking:
        why = f"{lacking[0]} and {len(lacking) - 1} more are missing or of another shape"
        raise WeightsError(
            f"{path}: has not the whole backbone of this model: {why}; give weights of this "
            "architecture"
        )
    model.load_state_dict(fits, strict=False)
    return sorted(left)


def _weights(path: Path) -> Path:
    """The file that is meant; raises WeightsError for a name whose weights are not here."""
    name = path.name
    if path.exists() or not (name in zoo.BACKBONES or name in zoo.CARDS):
        return path
    found = zoo.find_weights(name)
    verify(found, expected_sha256(name, found))
    return found


def _by_own_names(
    given: dict[str, torch.Tensor], own: dict[str, torch.Tensor], path: Path
) -> dict[str, torch.Tensor]:
    """Tensors of a file by the model's names, as far as these are known."""
    if official.is_official(given):
        return official.to_ours(given, str(path))
    named = {_own_name(name, own): value for name, value in given.items()}
    whole = all(name in named for name in own if name.startswith("backbone."))
    if whole or not (backbones.is_videomae(own) and backbones.is_videomae(given)):
        return named
    return backbones.canonical(given, str(path))


def _own_name(name: str, own: dict[str, torch.Tensor]) -> str:
    inside = f"backbone.{name}"
    return inside if name not in own and inside in own else name
