"""Training checkpoints: everything that the next epoch needs.

The exponential moving average of a model's weights: the one that is shipped.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from torch import nn

from stadkit.errors import UsageError, WeightsError
from stadkit.training.config import TrainConfig, complaints

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
    bank: str = "",
) -> None:
    """Write after an epoch; the file is whole or not there.

    bank: sha256 of the weights that made the banks of queries, where it learns from some.
    """
    state = {
        "model": model.state_dict(),
        "average": None if average is None else average.model.state_dict(),
        "average_steps": 0 if average is None else average.steps,
        "optimizer": optimizer.state_dict(),
        "epoch": done.epochs,
        "figures": done.figures,
        "config": config,
        "bank": bank,
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
    bank: str = "",
) -> Done:
    """Put a checkpoint's state back; the optimizer keeps its settings (rate, decay, momentum).

    Raises UsageError when there is none, or when it was written by a config that differs in
    more than MAY_CHANGE or with banks of other weights: the run would not be the same one. Raises
    WeightsError for a file that is no checkpoint of such a training.
    """
    state = _read(path)
    _check_same_run(path, config, state["config"])
    _check_same_bank(path, bank, str(state.get("bank", "")))
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
    now, then = _lasting(config), _lasting(_filled(before, path))
    changed = sorted(name for name in now | then if now.get(name) != then.get(name))
    if changed:
        raise UsageError(
            f"{path}: was trained with another {', '.join(changed)}; restore the config or use a "
            f"new output folder (only {', '.join(MAY_CHANGE)} may change, and of these not "
            f"{', '.join(MAY_NOT)})"
        )


def _check_same_bank(path: Path, now: str, then: str) -> None:
    if then not in ("", now):  # "": from before it was kept
        raise UsageError(
            f"{path}: has learned from banks of queries of weights {then[:16]}..., and those of "
            f"data.train.queries are now of {now[:16]}...; make them with the first again, or "
            "use a new output folder"
        )


def _filled(held: dict[str, Any], path: Path) -> dict[str, Any]:
    """A stored config with the fields that it is too old to have, at their defaults: these are
    what it was trained with."""
    try:
        return TrainConfig.model_validate(held).model_dump(mode="json")
    except ValidationError as error:
        raise WeightsError(
            f"{path}: its config is none of this version ({complaints(error)}); train anew in "
            "another folder, from its weights with `init`"
        ) from None


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


class Average:
    """A frozen copy in eval mode that follows a model.

    buffers: "average", as weights; "copy", the model's; "keep", as they are.

    The decay grows to `decay` as 1 - 101 / (step + 101), as in the release of SE-STAD, so that
    early, bad weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float, buffers: str = "average") -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.buffers = decay, buffers
        self.steps = 0

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """One step towards the model's weights, and buffers."""
        self.steps += 1
        keep = min(self.decay, 1 - 101 / (self.steps + 101))
        own, new = self.model.state_dict(), model.state_dict()
        weights = {name for name, _ in self.model.named_parameters()}
        for name, value in own.items():
            how = "average" if name in weights else self.buffers
            if how == "average" and value.dtype.is_floating_point:
                value.lerp_(new[name].to(value.dtype), 1 - keep)
            elif how != "keep":
                value.copy_(new[name])
