"""Fit a head's last layer to frozen features, instead of training it by steps.

An epoch is one view of every clip: the `FrameReader` features of its people are computed once and
stored, and the layer is fitted to all views so far (L-BFGS on cross-entropy with an L2 penalty,
which has one minimum). The rest of the model is frozen.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from stadkit.atomic import replacing
from stadkit.errors import UsageError
from stadkit.models import action_rois
from stadkit.models.frame_head import FrameHead
from stadkit.models.frame_reader import PARTS
from stadkit.models.mestad import Mestad
from stadkit.models.targets import Targets, pad_targets
from stadkit.training import steps
from stadkit.training.batches import raise_errors
from stadkit.training.config import FitConfig, OptimizerConfig, TrainConfig
from stadkit.training.sources import Annotated, ExampleSource
from stadkit.training.steps import Training

VIEWS = "view-*.npz"
MIN_DEVIATION = 1e-4  # relative to a feature's mean size; a smaller one carries no information


def is_fitted(model: object) -> bool:
    """Whether a model's head is fitted instead of trained by steps."""
    return isinstance(model, Mestad) and isinstance(model.head, FrameHead)


def settings_are_fitted(settings: Mapping[str, Any]) -> bool:
    """Whether the settings of a card build a fitted head."""
    return settings.get("head") == "frames"


def check_config(config: TrainConfig) -> None:
    """Raise UsageError for config fields that a fit does not use."""
    is_set = {
        "loss": bool(config.loss),
        "optimizer": config.optimizer != OptimizerConfig(),
        "ema": config.ema > 0,
        "semi": config.semi is not None,
    }
    if unused := [name for name, value in is_set.items() if value]:
        raise UsageError(
            f"{unused[0]}: not used, as {config.model} is fitted, not trained by steps; leave it "
            "out, or use another model, such as mestad-tiny"
        )


def source_settings(source: ExampleSource) -> dict[str, Any]:
    """A head's settings for one data set; classes are exclusive if each person has exactly one."""
    exclusive = isinstance(source, Annotated) and bool(
        ((source.truth.action == 1).sum(1) == 1).all()
    )
    return {"sources": (tuple(range(len(source.labels))),), "exclusive": (exclusive,)}


def fitted_epoch(training: Training, epoch: int, out: Path) -> dict[str, Any]:
    """Add one view of every clip and fit the layer to all views; returns the loss and the speed."""
    if training.processes.world > 1:
        raise UsageError(
            f"{training.config.model} is fitted in one process; run it without torchrun"
        )
    started = time.perf_counter()
    path = view_path(out, epoch)
    if not path.exists():
        _save_view(path, *_describe(training, epoch))
    views = [_load_view(view_path(out, number)) for number in range(epoch + 1)]
    description, action = (np.concatenate(parts) for parts in zip(*views, strict=True))
    assert isinstance(training.model, Mestad)
    head = training.model.head
    assert isinstance(head, FrameHead)
    loss = fit(head, torch.from_numpy(description), torch.from_numpy(action), training.config.fit)
    steps_taken = len(training.sampler)
    return {
        "action": loss,
        "epoch": epoch + 1,
        "step": steps_taken,
        "steps": steps_taken,
        "boxes": len(action),
        "seconds": time.perf_counter() - started,
    }


def view_path(out: Path, epoch: int) -> Path:
    """The file with the features of an epoch's view."""
    return out / f"view-{epoch + 1}.npz"


@torch.no_grad()
def _describe(training: Training, epoch: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Features [n, F] of the people in an epoch's view, and their actions [n, C]."""
    model = training.model
    assert isinstance(model, Mestad)
    model.eval()
    training.sampler.epoch = epoch
    torch.manual_seed(hash((training.config.seed, epoch)) % 2**63)
    descriptions, actions = [], []
    step_count, started = len(training.sampler), time.perf_counter()
    for number, batch in enumerate(raise_errors(training.batches)):
        pixels, batch = steps.to_device(training, batch)
        targets = [t for t in batch.targets if isinstance(t, Targets)]
        rois = _people(targets, pixels, training.config.fit)
        features = model.features(pixels, batch.sizes)
        descriptions.append(model.describe(features, rois.box, rois.index).half().cpu().numpy())
        actions.append(rois.action.cpu().numpy())
        rate = (number + 1) / (time.perf_counter() - started)
        figures = {
            "epoch": epoch + 1,
            "step": number + 1,
            "steps": step_count,
            "steps_a_second": rate,
            "clips_a_second": rate * training.config.batch,
        }
        training.report("step", figures)
    return np.concatenate(descriptions), np.concatenate(actions)


def _people(targets: list[Targets], pixels: Tensor, config: FitConfig) -> action_rois.Rois:
    """The true boxes, and copies with jittered sides."""
    rows, truth, action = pad_targets(targets, pixels.new_zeros(0, 4))
    moved = action_rois.jittered(truth, rows, config.jitter, config.jitter_copies)
    return action_rois.choose(*moved, rows, truth, action, 0.0, truth.shape[1] * 10 + 1)


def fit(
    head: FrameHead,
    description: Tensor,
    action: Tensor,
    config: FitConfig,
    parts: Sequence[int] = PARTS,
) -> float:
    """Fit the layer of a head with one source; returns the final loss.

    description: features [n, F], where `parts` are the widths of its parts; action [n, C]: 1, 0, or
    NaN for unknown, which is ignored.
    """
    (exclusive,) = head.exclusive
    description = description.float()
    mean, deviation = description.mean(0), description.std(0)
    floor = MIN_DEVIATION * description.abs().mean(0) + 1e-6
    # Standardized, so that within a part all features have equal weight, and all parts have equal
    # weight whatever their widths.
    count = torch.cat([torch.full((part,), float(part)) for part in parts])
    scale = 1 / ((deviation + floor) * count.sqrt())
    x = (description - mean).mul_(scale)
    weight = torch.zeros(action.shape[1], x.shape[1], requires_grad=True)
    bias = torch.zeros(action.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=config.iterations, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = x @ weight.T + bias
        total = _cross_entropy(logits, action, exclusive, config.smoothing)
        total = total + config.l2 / 2 * (weight * weight).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    final_loss = float(loss().detach())
    with torch.no_grad():
        head.center.copy_(mean)
        head.scale.copy_(scale)
        head.projection.weight.copy_(weight)
        head.projection.bias.copy_(bias)
    return final_loss


def _cross_entropy(logits: Tensor, action: Tensor, exclusive: bool, smoothing: float) -> Tensor:
    """Mean over boxes of the softmax loss (exclusive classes), or of the binary losses' sum.

    smoothing: label smoothing of the softmax loss. Unknown classes (NaN) have no binary loss.
    """
    if exclusive:
        target = action.nan_to_num().argmax(1)  # argmax would return a NaN
        return F.cross_entropy(logits, target, label_smoothing=smoothing)
    known = ~action.isnan()
    each = F.binary_cross_entropy_with_logits(logits, action.nan_to_num(), reduction="none")
    return (each * known).sum() / len(logits)


def _save_view(path: Path, description: NDArray[Any], action: NDArray[Any]) -> None:
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, description=description, action=action)


def _load_view(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    with np.load(path, allow_pickle=False) as view:
        return view["description"], view["action"]
