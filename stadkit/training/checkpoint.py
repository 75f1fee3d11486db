"""Resumable training checkpoints, and the moving average of a model's weights."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from torch import nn

from stadkit.atomic import replacing
from stadkit.errors import UsageError, WeightsError
from stadkit.training.config import TrainConfig, complaints

# Fields that may differ on --resume, as the run stays the same.
MAY_CHANGE = ("optimizer", "precision", "data.workers", "data.store")
# Exceptions: SGD's state does not fit AdamW, and each learning-rate scale has its own groups.
MUST_NOT_CHANGE = ("optimizer.name", "optimizer.head_scale")


class Done(NamedTuple):
    """The progress of a run, as stored in a checkpoint."""

    epochs: int  # finished
    figures: dict[str, Any]  # of the last epoch, without validation scores


def save_checkpoint(
    path: Path,
    model: nn.Module,
    average: Average | None,
    optimizer: torch.optim.Optimizer,
    done: Done,
    config: dict[str, Any],
    bank: str = "",
) -> None:
    """Write a checkpoint after an epoch, atomically.

    bank: sha256 of the weights that made the query banks; "" without banks.
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
    with replacing(path) as part:
        torch.save(state, part)


def load_checkpoint(
    path: Path,
    model: nn.Module,
    average: Average | None,
    optimizer: torch.optim.Optimizer,
    config: dict[str, Any],
    bank: str = "",
) -> Done:
    """Restore a checkpoint's state; the optimizer keeps its settings (rate, decay, momentum).

    Raises UsageError when there is none, and where the run would not be the same: its config
    differs in more than MAY_CHANGE, or its banks come from other weights. Raises WeightsError for a
    file that is not a checkpoint of this training.
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
    for group, setting in zip(optimizer.param_groups, settings, strict=True):
        group.update(setting)
    return done


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UsageError(f"{path}: no checkpoint to resume; leave out --resume") from None
    except Exception as error:
        raise WeightsError(f"{path}: not a training checkpoint ({_line(error)})") from None
    if not isinstance(state, dict) or not isinstance(state.get("config"), dict):
        raise WeightsError(f"{path}: not a training checkpoint (it has no config)")
    return state


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_same_run(path: Path, config: dict[str, Any], before: dict[str, Any]) -> None:
    now, then = _lasting(config), _lasting(_filled(before, path))
    changed = sorted(name for name in now | then if now.get(name) != then.get(name))
    if changed:
        raise UsageError(
            f"{path}: trained with another {', '.join(changed)}; restore the config or use a new "
            f"output folder (only {', '.join(MAY_CHANGE)} may change, except "
            f"{', '.join(MUST_NOT_CHANGE)})"
        )


def _check_same_bank(path: Path, now: str, then: str) -> None:
    if then not in ("", now):  # "": older than this field
        raise UsageError(
            f"{path}: learned from query banks of weights {then[:16]}..., but data.train.queries "
            f"has banks of {now[:16]}...; make them with the former again, or use a new output "
            "folder"
        )


def _filled(held: dict[str, Any], path: Path) -> dict[str, Any]:
    """Add fields newer than a stored config, at their defaults, with which it was trained."""
    try:
        return TrainConfig.model_validate(held).model_dump(mode="json")
    except ValidationError as error:
        raise WeightsError(
            f"{path}: its config is not valid in this version ({complaints(error)}); start a new "
            "training in another folder, from its weights with `init`"
        ) from None


def _lasting(config: dict[str, Any]) -> dict[str, Any]:
    """The fields that must not change; those of `data` and `optimizer` by dotted name."""
    flat = {name: value for name, value in config.items() if name not in ("data", "optimizer")}
    for part in ("data", "optimizer"):
        flat |= {f"{part}.{name}": value for name, value in config.get(part, {}).items()}
    return {name: value for name, value in flat.items() if not _may_change(name)}


def _may_change(name: str) -> bool:
    if name in MUST_NOT_CHANGE:
        return False
    return name in MAY_CHANGE or name.split(".")[0] in MAY_CHANGE


class Average:
    """An exponential moving average of a model's weights, frozen and in eval mode.

    buffers: "average" them like weights, "copy" the model's, or "keep" their initial values.

    The decay grows to `decay` as 1 - 101 / (step + 101), as in the release of SE-STAD, so that
    early, bad weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float, buffers: str = "average") -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.buffers = decay, buffers
        self.steps = 0

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Update with the model's current weights and buffers."""
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
